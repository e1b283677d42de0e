// Programs one after the other, of each cell and step: all steps of a cell, while its numbers are
// in the caches, then those of the next one.

#include <cstdint>

typedef int64_t Program(char *const *arguments, char *scratch);

struct Argument {
  int64_t address, by_cell, by_step; // of the first cell and step; bytes to the next ones
};

extern "C" int64_t run_all(int64_t cells, int64_t steps, int64_t programs, Program *const *program,
                           const int64_t *counts, const Argument *arguments, char *scratch) {
  int64_t beyond = 0, most = 0;
  for (int64_t p = 0; p < programs; p++) most = counts[p] > most ? counts[p] : most;
  char **there = (char **)__builtin_alloca(most * sizeof(char *));
  for (int64_t k = 0; k < cells; k++)
    for (int64_t s = 0; s < steps; s++) {
      const Argument *next = arguments;
      for (int64_t p = 0; p < programs; p++) {
        for (int64_t i = 0; i < counts[p]; i++, next++)
          there[i] = (char *)(next->address + k * next->by_cell + s * next->by_step);
        beyond += program[p](there, scratch);
      }
    }
  return beyond;
}
