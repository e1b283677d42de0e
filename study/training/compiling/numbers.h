// Functions of single numbers, for the loops of compiled programs.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#define INLINE static inline __attribute__((always_inline))

// A NaN stays one everywhere.

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
VECTOR_FUNCTION(usual_exp, expf, exp)
VECTOR_FUNCTION(log_, logf, log)
VECTOR_FUNCTION(sin_, sinf, sin)
VECTOR_FUNCTION(cos_, cosf, cos)
VECTOR_FUNCTION(tanh_, tanhf, tanh)
VECTOR_FUNCTION(erf_, erff, erf)
// Apart from the usual one where nothing is left: for these it would go through a vector one by one.
template <typename T> INLINE T exp_to(T x, T least) {
  T found = usual_exp(x < least ? least : x);
  return x < least ? T(0) : found;
}
INLINE float exp_(float x) { return exp_to(x, -87.3f); }
INLINE double exp_(double x) { return exp_to(x, -708.3); }
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
template <typename T> INLINE T sign_of(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : T(0); }
template <typename T> INLINE T larger(T x, T y) { return x > y || x != x ? x : y; }
template <typename T> INLINE T smaller(T x, T y) { return x < y || x != x ? x : y; }
template <typename T> INLINE T quotient(T x, T y) {  // the largest whole number below
  return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
INLINE float quotient(float x, float y) { return std::floor(x / y); }
INLINE double quotient(double x, double y) { return std::floor(x / y); }
template <typename T> INLINE T rest(T x, T y) { return x % y; }  // has the sign of x
INLINE float rest(float x, float y) { return std::fmod(x, y); }
INLINE double rest(double x, double y) { return std::fmod(x, y); }
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
// The number, or 0; by its bits, which goes for whole vectors.
template <typename Bits, typename T> INLINE T kept_by_bits(bool kept, T x) {
  Bits bits;
  memcpy(&bits, &x, sizeof x);
  bits &= -(Bits)kept;
  memcpy(&x, &bits, sizeof x);
  return x;
}
INLINE float kept_where(bool kept, float x) { return kept_by_bits<int32_t>(kept, x); }
INLINE double kept_where(bool kept, double x) { return kept_by_bits<int64_t>(kept, x); }

// A row of so many by its number, from the end where that is negative.
static int64_t beyond = 0;  // how often there was none of that number
INLINE int64_t row_of(int64_t number, int64_t rows) {
  int64_t found = number < 0 ? number + rows : number;
  if (found >= 0 && found < rows) return found;
  beyond++;
  return 0;
}

// Of matrices, see matrix_products.cpp: C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j].
#define PRODUCT(T)                                                                                 \
  extern "C" void product_##T(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row,    \
                              int64_t a_column, const T *b, int64_t b_row, T *c, int64_t c_row,    \
                              const T *bias)
#define FEW_COLUMNS(T)                                                                             \
  extern "C" void few_columns_##T(int64_t m, int64_t columns, int64_t n, const T *a,               \
                                  int64_t a_row, int64_t a_column, const T *b, int64_t b_row,      \
                                  int64_t b_column, T *c, int64_t c_column)
#define LONG_SUMS(T)                                                                               \
  extern "C" void long_sums_##T(int64_t m, int64_t columns, int64_t n, const T *a, int64_t a_row,  \
                                const T *b, int64_t b_column, T *c, int64_t c_row)
#define TURNED(T)                                                                                  \
  extern "C" void turned_##T(int64_t rows, int64_t columns, const T *from, int64_t from_row,       \
                             T *to, int64_t to_row)
PRODUCT(float);
PRODUCT(double);
LONG_SUMS(float);
LONG_SUMS(double);
FEW_COLUMNS(float);
FEW_COLUMNS(double);
TURNED(float);
TURNED(double);
