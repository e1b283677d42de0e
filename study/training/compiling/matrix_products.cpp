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

// By blocks of L rows and columns, and what is left over by smaller ones.
template <typename T, int L>
__attribute__((noinline)) static void turned(int64_t rows, int64_t columns, const T *from,
                                             int64_t from_row, T *to, int64_t to_row) {
  typedef typename Lanes<T, L>::type Vector;
  int64_t many = rows - rows % L, wide = columns - columns % L;
  for (int64_t i = 0; i < many; i += L)
    for (int64_t j = 0; j < wide; j += L) {
      Vector block[L];
      UNROLLED for (int r = 0; r < L; r++)
        block[r] = *(const Vector *)(from + (i + r) * from_row + j);
      if constexpr (L > 1) turn<Vector, L>(block);
      UNROLLED for (int r = 0; r < L; r++) *(Vector *)(to + (j + r) * to_row + i) = block[r];
    }
  if constexpr (L > 1) {
    turned<T, L / 2>(many, columns - wide, from + wide, from_row, to + wide * to_row, to_row);
    turned<T, L / 2>(rows - many, columns, from + many * from_row, from_row, to + many, to_row);
  }
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

// The last numbers before an end, as many as a vector has, with 0 for the first of them.
template <typename Vector, typename T, int L> INLINE Vector rest(const T *end, int64_t left_out) {
  typedef decltype(Vector{} < Vector{}) Chosen;
  Chosen kept;
  UNROLLED for (int i = 0; i < L; i++) kept[i] = i < left_out ? 0 : -1;
  return (Vector)((Chosen) * (const Vector *)(end - L) & kept);
}

// With columns of B without gaps, as rows of A: each number of C is collected in a vector, R rows
// and S columns at once, until the L sums of L vectors are one vector.
template <typename T, int R, int S>
INLINE void long_sums(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row, const T *b,
                      int64_t b_column, T *c, int64_t c_row) {
  constexpr int L = VECTOR_BYTES / sizeof(T);
  typedef typename Lanes<T, L>::type Vector;
  for (int64_t i = 0; i < m; i += R)
    for (int64_t j = 0; j < columns; j += S) {
      const T *left[R], *right[S];
      UNROLLED for (int r = 0; r < R; r++) left[r] = a + (i + r < m ? i + r : m - 1) * a_row;
      UNROLLED for (int s = 0; s < S; s++)
        right[s] = b + (j + s < columns ? j + s : columns - 1) * b_column;
      Vector sum[R * S] = {};
      int64_t k = 0;
#pragma GCC unroll 1
      for (; k + L <= n; k += L) {
        Vector one[S];
        UNROLLED for (int s = 0; s < S; s++) one[s] = *(const Vector *)(right[s] + k);
        UNROLLED for (int r = 0; r < R; r++) {
          Vector other = *(const Vector *)(left[r] + k);
          UNROLLED for (int s = 0; s < S; s++) sum[r * S + s] += other * one[s];
        }
      }
      if (k < n) {
        Vector one[S];
        UNROLLED for (int s = 0; s < S; s++) one[s] = rest<Vector, T, L>(right[s] + n, k + L - n);
        UNROLLED for (int r = 0; r < R; r++) {
          Vector other = rest<Vector, T, L>(left[r] + n, k + L - n);
          UNROLLED for (int s = 0; s < S; s++) sum[r * S + s] += other * one[s];
        }
      }
      UNROLLED for (int first = 0; first < R * S; first += L) {
        turn<Vector, L>(sum + first);
        Vector total = sum[first];
        UNROLLED for (int l = 1; l < L; l++) total += sum[first + l];
        for (int l = 0; l < L; l++) {
          int64_t r = i + (first + l) / S, s = j + (first + l) % S;
          if (r < m && s < columns) c[r * c_row + s] = total[l];
        }
      }
    }
}

#define FUNCTIONS(T)                                                                               \
  TURNED(T) {                                                                                      \
    turned<T, VECTOR_BYTES / sizeof(T)>(rows, columns, from, from_row, to, to_row);                \
  }                                                                                                \
  PRODUCT(T) { product<T>(m, columns, n, a, a_row, a_column, b, b_row, c, c_row, bias); }          \
  LONG_SUMS(T) {                                                                                   \
    long_sums<T, MANY ? 4 : 2, 4>(m, columns, n, a, a_row, b, b_column, c, c_row);                 \
  }                                                                                                \
  FEW_COLUMNS(T) {                                                                                 \
    few_columns<T>(m, columns, n, a, a_row, a_column, b, b_row, b_column, c, c_column);            \
  }
FUNCTIONS(float)
FUNCTIONS(double)
