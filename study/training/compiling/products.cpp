// Products of matrices, for all compiled programs alike.
//
// C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j]. A lies anyhow; rows of B, of C and the bias
// without gaps. A tile of C is held in registers: R rows of V vectors of L numbers.

#include "numbers.h"

constexpr int VECTOR_BYTES =
#if defined(__AVX512F__)
    64;
#elif defined(__AVX__)
    32;
#else
    16;
#endif

template <typename T, int L> struct Lanes {
  typedef T type __attribute__((vector_size(L * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <typename T> struct Lanes<T, 1> {
  typedef T type;
};

#define UNROLLED _Pragma("GCC unroll 32")

template <typename T, int R, int V, int L>
__attribute__((noinline)) static void tiles(int64_t m, int64_t n, const T *a, int64_t a_row,
                                            int64_t a_column, const T *b, int64_t b_row, T *c,
                                            int64_t c_row, const T *bias) {
  typedef typename Lanes<T, L>::type Vector;
  int64_t first = 0;
  for (; first + R <= m; first += R) {
    Vector sum[R][V];
    UNROLLED for (int v = 0; v < V; v++) {
      Vector start = bias ? *(const Vector *)(bias + v * L) : Vector{};
      UNROLLED for (int r = 0; r < R; r++) sum[r][v] = start;
    }
    const T *left = a + first * a_row, *right = b;
#pragma GCC unroll 1
    for (int64_t k = 0; k < n; k++, left += a_column, right += b_row) {
      Vector row[V];
      UNROLLED for (int v = 0; v < V; v++) row[v] = *(const Vector *)(right + v * L);
      UNROLLED for (int r = 0; r < R; r++) {
        T factor = left[r * a_row];
        UNROLLED for (int v = 0; v < V; v++) sum[r][v] += factor * row[v];
      }
    }
    UNROLLED for (int r = 0; r < R; r++)
      UNROLLED for (int v = 0; v < V; v++)
        *(Vector *)(c + (first + r) * c_row + v * L) = sum[r][v];
  }
  if constexpr (R > 1)
    if (first < m)
      tiles<T, R / 2, V, L>(m - first, n, a + first * a_row, a_row, a_column, b, b_row,
                            c + first * c_row, c_row, bias);
}

template <typename T, int L, int R>
INLINE void narrow(int64_t m, int64_t n, const T *a, int64_t a_row, int64_t a_column, const T *b,
                   int64_t b_row, T *c, int64_t c_row, const T *bias, int64_t columns) {
  if constexpr (L >= 1) {
    int64_t j = 0;
    for (; j + L <= columns; j += L)
      tiles<T, R, 1, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row,
                        bias ? bias + j : bias);
    if (j < columns)
      narrow<T, L / 2, R>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row,
                          bias ? bias + j : bias, columns - j);
  }
}

template <typename T>
INLINE void product(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row,
                    int64_t a_column, const T *b, int64_t b_row, T *c, int64_t c_row,
                    const T *bias) {
  constexpr int L = VECTOR_BYTES / sizeof(T);
  constexpr bool MANY = VECTOR_BYTES == 64;  // 32 registers, else 16
  constexpr int R3 = MANY ? 8 : 4, R2 = MANY ? 8 : 6, R1 = MANY ? 16 : 8;
  int64_t j = 0;
  for (; j + 3 * L <= columns; j += 3 * L)
    tiles<T, R3, 3, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, bias ? bias + j : bias);
  for (; j + 2 * L <= columns; j += 2 * L)
    tiles<T, R2, 2, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, bias ? bias + j : bias);
  narrow<T, L, R1>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, bias ? bias + j : bias,
                   columns - j);
}

PRODUCT(float) {
  product<float>(m, columns, n, a, a_row, a_column, b, b_row, c, c_row, bias);
}
PRODUCT(double) {
  product<double>(m, columns, n, a, a_row, a_column, b, b_row, c, c_row, bias);
}
