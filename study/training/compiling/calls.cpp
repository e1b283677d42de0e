// Programs one after the other, of each cell and step.

#include <cstdint>

typedef int64_t Program(char *const *arguments, char *scratch, char *kept, bool first);

struct Argument {
  int64_t address, by_cell, by_step; // of the first cell and step; bytes to the next ones
};

// All steps of a cell while its numbers are in the caches, then those of the next one; or, where
// programs keep something for all cells of a step, all cells of a step, then those of the next one.
extern "C" int64_t run_all(int64_t cells, int64_t steps, int64_t programs, Program *const *program,
                           char *const *kept, const int64_t *counts, const Argument *arguments,
                           char *scratch, bool by_step) {
  int64_t beyond = 0, most = 0;
  for (int64_t p = 0; p < programs; p++) most = counts[p] > most ? counts[p] : most;
  char **there = (char **)__builtin_alloca(most * sizeof(char *));
  for (int64_t turn = 0; turn < cells * steps; turn++) {
    int64_t k = by_step ? turn % cells : turn / steps, s = by_step ? turn / cells : turn % steps;
    const Argument *next = arguments;
    for (int64_t p = 0; p < programs; p++) {
      for (int64_t i = 0; i < counts[p]; i++, next++)
        there[i] = (char *)(next->address + k * next->by_cell + s * next->by_step);
      beyond += program[p](there, scratch, kept[p], k == 0);
    }
  }
  return beyond;
}
