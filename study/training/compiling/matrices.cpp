// Products of matrices, and matrices turned, for all compiled programs alike.
//
// C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j]. A lies anyhow. A tile of C is held in
// registers: R rows of V vectors of L numbers.

#include "numbers.h"
#include <utility>

constexpr int VECTOR_BYTES =
#if defined(__AVX512F__)
    64;
#elif defined(__AVX__)
    32;
#else
    16;
#endif
constexpr bool MANY = VECTOR_BYTES == 64;  // 32 registers, else 16

template <typename T, int L> struct Lanes {
  typedef T type __attribute__((vector_size(L * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <typename T> struct Lanes<T, 1> {
  typedef T type;
};

#define UNROLLED _Pragma("GCC unroll 32")

// ---- turned -----------------------------------------------------------------------------------

// Of two rows, what stands in every other H columns of one for what stands beside it of the other.
template <typename Vector, int H, int L, int... J>
INLINE void exchange(Vector &one, Vector &other, std::integer_sequence<int, J...>) {
  Vector first = __builtin_shufflevector(one, other, ((J & H) ? L + J - H : J)...);
  other = __builtin_shufflevector(one, other, ((J & H) ? L + J : J + H)...);
  one = first;
}

template <typename Vector, int L, int H = L / 2> INLINE void turn(Vector *rows) {
  if constexpr (H > 0) {
    UNROLLED for (int i = 0; i < L; i++)
      if (!(i & H))
        exchange<Vector, H, L>(rows[i], rows[i + H], std::make_integer_sequence<int, L>());
    turn<Vector, L, H / 2>(rows);
  }
}

template <typename T>
INLINE void turned(int64_t rows, int64_t columns, const T *from, int64_t from_row, T *to,
                   int64_t to_row) {
  constexpr int L = VECTOR_BYTES / sizeof(T);
  typedef typename Lanes<T, L>::type Vector;
  int64_t i = 0;
  for (; i + L <= rows; i += L) {
    int64_t j = 0;
    for (; j + L <= columns; j += L) {
      Vector block[L];
      UNROLLED for (int r = 0; r < L; r++)
        block[r] = *(const Vector *)(from + (i + r) * from_row + j);
      turn<Vector, L>(block);
      UNROLLED for (int r = 0; r < L; r++) *(Vector *)(to + (j + r) * to_row + i) = block[r];
    }
    for (; j < columns; j++)
      for (int r = 0; r < L; r++) to[j * to_row + i + r] = from[(i + r) * from_row + j];
  }
  for (; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) to[j * to_row + i] = from[i * from_row + j];
}

// ---- products ---------------------------------------------------------------------------------

// Of V vectors of columns; the last one may begin before the one before it ends.
template <typename T, int R, int V, int L>
__attribute__((noinline)) static void tiles(int64_t m, int64_t n, const T *a, int64_t a_row,
                                            int64_t a_column, const T *b, int64_t b_row, T *c,
                                            int64_t c_row, const T *bias, int64_t last) {
  typedef typename Lanes<T, L>::type Vector;
#define AT(v) ((v) < V - 1 ? (v) * L : last)
  int64_t first = 0;
  for (; first + R <= m; first += R) {
    Vector sum[R][V];
    UNROLLED for (int v = 0; v < V; v++) {
      Vector start = bias ? *(const Vector *)(bias + AT(v)) : Vector{};
      UNROLLED for (int r = 0; r < R; r++) sum[r][v] = start;
    }
    const T *left = a + first * a_row, *right = b;
#pragma GCC unroll 1
    for (int64_t k = 0; k < n; k++, left += a_column, right += b_row) {
      Vector row[V];
      UNROLLED for (int v = 0; v < V; v++) row[v] = *(const Vector *)(right + AT(v));
      UNROLLED for (int r = 0; r < R; r++) {
        T factor = left[r * a_row];
        UNROLLED for (int v = 0; v < V; v++) sum[r][v] += factor * row[v];
      }
    }
    UNROLLED for (int r = 0; r < R; r++)
      UNROLLED for (int v = 0; v < V; v++)
        *(Vector *)(c + (first + r) * c_row + AT(v)) = sum[r][v];
  }
  if constexpr (R > 1)
    if (first < m)
      tiles<T, R / 2, V, L>(m - first, n, a + first * a_row, a_row, a_column, b, b_row,
                            c + first * c_row, c_row, bias, last);
}

// Of fewer columns than a vector has.
template <typename T, int L, int R>
INLINE void narrow(int64_t m, int64_t n, const T *a, int64_t a_row, int64_t a_column, const T *b,
                   int64_t b_row, T *c, int64_t c_row, const T *bias, int64_t columns) {
  if constexpr (L >= 1) {
    int64_t j = 0;
    for (; j + L <= columns; j += L)
      tiles<T, R, 1, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row,
                        bias ? bias + j : bias, 0);
    if (j < columns)
      narrow<T, L / 2, R>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row,
                          bias ? bias + j : bias, columns - j);
  }
}

// Rows of B, of C and the bias without gaps.
template <typename T>
INLINE void product(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row,
                    int64_t a_column, const T *b, int64_t b_row, T *c, int64_t c_row,
                    const T *bias) {
  constexpr int L = VECTOR_BYTES / sizeof(T);
  constexpr int R4 = 6, R3 = MANY ? 8 : 4, R2 = MANY ? 12 : 6, R1 = MANY ? 16 : 8;
  if (columns < L)
    return narrow<T, L, R1>(m, n, a, a_row, a_column, b, b_row, c, c_row, bias, columns);
  for (int64_t j = 0; j < columns;) {
    int64_t vectors = (columns - j + L - 1) / L, some = vectors < 3 ? vectors : 3;
    if (MANY && vectors > 3 && vectors != 5 && vectors % 3) some = 4;
    int64_t last = some == vectors ? columns - j - L : (some - 1) * L;
    const T *start = bias ? bias + j : bias;
    if constexpr (MANY)
      if (some == 4)
        tiles<T, R4, 4, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, start, last);
    if (some == 3)
      tiles<T, R3, 3, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, start, last);
    if (some == 2)
      tiles<T, R2, 2, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, start, last);
    if (some == 1)
      tiles<T, R1, 1, L>(m, n, a, a_row, a_column, b + j, b_row, c + j, c_row, start, last);
    j += some * L;
  }
}

// Of at least L rows, with few columns: B lies anyhow, columns of C without gaps. Columns up to a
// whole vector are 0, and computed for nothing; tiles are turned in registers.
template <typename T>
INLINE void few_columns(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row,
                        int64_t a_column, const T *b, int64_t b_row, int64_t b_column, T *c,
                        int64_t c_column) {
  constexpr int L = VECTOR_BYTES / sizeof(T);
  typedef typename Lanes<T, L>::type Vector;
  T *packed = (T *)__builtin_alloca_with_align(n * VECTOR_BYTES, 8 * VECTOR_BYTES);
  for (int64_t j = 0; j < columns; j += L) {
    int64_t some = columns - j < L ? columns - j : L;
    for (int64_t k = 0; k < n; k++)
      for (int v = 0; v < L; v++)
        packed[k * L + v] = v < some ? b[k * b_row + (j + v) * b_column] : T(0);
    for (int64_t row = 0; row < m; row += L) {
      int64_t first = row + L <= m ? row : m - L;
      Vector sum[L] = {};
      const T *left = a + first * a_row;
#pragma GCC unroll 1
      for (int64_t k = 0; k < n; k++, left += a_column) {
        Vector right = *(const Vector *)(packed + k * L);
        UNROLLED for (int r = 0; r < L; r++) sum[r] += left[r * a_row] * right;
      }
      turn<Vector, L>(sum);
      for (int64_t v = 0; v < some; v++) *(Vector *)(c + (j + v) * c_column + first) = sum[v];
    }
  }
}

#define FUNCTIONS(T)                                                                               \
  TURNED(T) { turned<T>(rows, columns, from, from_row, to, to_row); }                              \
  PRODUCT(T) { product<T>(m, columns, n, a, a_row, a_column, b, b_row, c, c_row, bias); }          \
  FEW_COLUMNS(T) {                                                                                 \
    few_columns<T>(m, columns, n, a, a_row, a_column, b, b_row, b_column, c, c_column);            \
  }
FUNCTIONS(float)
FUNCTIONS(double)
