// What every compiled program uses: products of matrices, and functions of single numbers.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#define INLINE static inline __attribute__((always_inline))

// ---- single numbers; a NaN stays one ------------------------------------------------------------

// glibc has these for whole vectors, under names that the compiler knows from this attribute.
#if defined(__GLIBC__) && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define OF_VECTORS __attribute__((simd("notinbranch"), const, nothrow, leaf))
#else
#define OF_VECTORS
#endif
#define VECTOR_FUNCTION(name, single, double_)                                                     \
  extern "C" OF_VECTORS float single(float) noexcept;                                              \
  extern "C" OF_VECTORS double double_(double) noexcept;                                           \
  INLINE float name(float x) { return single(x); }                                                 \
  INLINE double name(double x) { return double_(x); }
VECTOR_FUNCTION(exp_, expf, exp)
VECTOR_FUNCTION(log_, logf, log)
VECTOR_FUNCTION(sin_, sinf, sin)
VECTOR_FUNCTION(cos_, cosf, cos)
VECTOR_FUNCTION(tanh_, tanhf, tanh)
VECTOR_FUNCTION(erf_, erff, erf)
INLINE float root(float x) { return __builtin_sqrtf(x); }
INLINE double root(double x) { return __builtin_sqrt(x); }
INLINE float pow_(float x, float y) { return std::pow(x, y); }
INLINE double pow_(double x, double y) { return std::pow(x, y); }
INLINE int64_t pow_(int64_t x, int64_t y) {
  int64_t found = 1;
  for (; y > 0; y--) found *= x;
  return found;
}
template <typename T> INLINE T absolute(T x) { return x < 0 ? -x : x; }
INLINE float absolute(float x) { return __builtin_fabsf(x); }
INLINE double absolute(double x) { return __builtin_fabs(x); }
template <typename T> INLINE T sign_of(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : T(0) * x; }
template <typename T> INLINE T larger(T x, T y) { return x > y || x != x ? x : y; }
template <typename T> INLINE T smaller(T x, T y) { return x < y || x != x ? x : y; }
template <typename T> INLINE T quotient(T x, T y) {  // the largest whole number below
  return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
INLINE float quotient(float x, float y) { return std::floor(x / y); }
INLINE double quotient(double x, double y) { return std::floor(x / y); }
template <typename T> INLINE T inverse(T x) { return ~x; }
INLINE bool inverse(bool x) { return !x; }
template <typename T> INLINE T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                              : std::numeric_limits<T>::lowest();
}
template <typename T> INLINE T highest() {
  return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                              : std::numeric_limits<T>::max();
}

// A row of so many by its number, from the end where that is negative.
static int64_t beyond = 0;  // how often there was none of that number
INLINE int64_t row_of(int64_t number, int64_t rows) {
  int64_t found = number < 0 ? number + rows : number;
  if (found >= 0 && found < rows) return found;
  beyond++;
  return 0;
}

// ---- products of matrices -----------------------------------------------------------------------
//
// C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j]. A lies anyhow; rows of B, of C and the bias
// without gaps. A tile of C is held in registers: R rows of V vectors of L numbers.

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
__attribute__((noinline)) static void product(int64_t m, int64_t columns, int64_t n, const T *a,
                                              int64_t a_row, int64_t a_column, const T *b,
                                              int64_t b_row, T *c, int64_t c_row, const T *bias) {
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
