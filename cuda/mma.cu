#include "cuda/mma.h"

#include <cuda_runtime.h>

#include <fstream>
#include <stdexcept>

#include "cuda/device.h"

namespace halfulp::cuda {
namespace {

// ---- what a target has ----

// An instruction of a feature that the target lacks compiles to a kernel that says so.
#define HALFULP_ABSENT return false
#define HALFULP_SM80(...) \
  __VA_ARGS__;            \
  return true
#if __CUDA_ARCH__ >= 890
#define HALFULP_SM89(...) \
  __VA_ARGS__;            \
  return true
#else
#define HALFULP_SM89(...) HALFULP_ABSENT
#endif
#if __CUDA_ARCH__ >= 900
#define HALFULP_SM90(...) \
  __VA_ARGS__;            \
  return true
#else
#define HALFULP_SM90(...) HALFULP_ABSENT
#endif
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HALFULP_SM90A(...) \
  __VA_ARGS__;             \
  return true
#else
#define HALFULP_SM90A(...) HALFULP_ABSENT
#endif

// ---- forms: registers of D, A and B of one lane; D holds C before ----

#define HALFULP_1(constraint, x) constraint(x[0])
#define HALFULP_2(constraint, x) HALFULP_1(constraint, x), constraint(x[1])
#define HALFULP_4(constraint, x) HALFULP_2(constraint, x), constraint(x[2]), constraint(x[3])
#define HALFULP_8(constraint, x) \
  HALFULP_4(constraint, x), constraint(x[4]), constraint(x[5]), constraint(x[6]), constraint(x[7])

#define HALFULP_MMA_4_2_4(ptx, kind, word)                                            \
  asm volatile(ptx " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : HALFULP_4("+" kind, d)                                               \
               : HALFULP_4(word, a), HALFULP_2(word, b))
#define HALFULP_MMA_2_1_4(ptx, kind, word)                                \
  asm volatile(ptx " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
               : HALFULP_4("+" kind, d)                                   \
               : HALFULP_2(word, a), HALFULP_1(word, b))

#define MMA_4_2_F4(ptx) HALFULP_MMA_4_2_4(ptx, "f", "r")
#define MMA_2_1_F4(ptx) HALFULP_MMA_2_1_4(ptx, "f", "r")
#define MMA_4_2_R4(ptx) HALFULP_MMA_4_2_4(ptx, "r", "r")
#define MMA_2_1_R4(ptx) HALFULP_MMA_2_1_4(ptx, "r", "r")
#define MMA_4_2_D4(ptx) HALFULP_MMA_4_2_4(ptx, "d", "d")
#define MMA_2_1_D4(ptx) HALFULP_MMA_2_1_4(ptx, "d", "d")
#define MMA_4_2_R2(ptx)                                               \
  asm volatile(ptx " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};" \
               : HALFULP_2("+r", d)                                   \
               : HALFULP_4("r", a), HALFULP_2("r", b))
#define MMA_2_1_R2(ptx) \
  asm volatile(ptx " {%0, %1}, {%2, %3}, {%4}, {%0, %1};" : HALFULP_2("+r", d) : HALFULP_2("r", a), HALFULP_1("r", b))
#define MMA_1_1_D2(ptx) \
  asm volatile(ptx " {%0, %1}, {%2}, {%3}, {%0, %1};" : HALFULP_2("+d", d) : HALFULP_1("d", a), HALFULP_1("d", b))
#define MMA_8_4_D4(ptx)                                                                                             \
  asm volatile(ptx " {%0, %1, %2, %3}, {%4, %5, %6, %7, %8, %9, %10, %11}, {%12, %13, %14, %15}, {%0, %1, %2, %3};" \
               : HALFULP_4("+d", d)                                                                                 \
               : HALFULP_8("d", a), HALFULP_4("d", b))

// wgmma: A and B are descriptors of shared memory; uses_c is scale-d.
#define HALFULP_WGMMA(ptx, d_list, registers, uses_c, rest)                                     \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " uses_c ", 0; " ptx " " d_list ", p" rest "; }" \
               : registers                                                                      \
               : "l"(a), "l"(b)                                                                 \
               : "memory")
#define HALFULP_WGMMA_4(ptx, kind, uses_c, rest) \
  HALFULP_WGMMA(ptx, "{%0, %1, %2, %3}, %4, %5", HALFULP_4("+" kind, d), uses_c, rest)
#define HALFULP_WGMMA_2(ptx, rest) HALFULP_WGMMA(ptx, "{%0, %1}, %2, %3", HALFULP_2("+r", d), "1", rest)

#define WGMMA_F4(ptx) HALFULP_WGMMA_4(ptx, "f", "1", ", 1, 1")
#define WGMMA_R4(ptx) HALFULP_WGMMA_4(ptx, "r", "1", "")
#define WGMMA_R2(ptx) HALFULP_WGMMA_2(ptx, ", 1, 1")
#define WGMMA_R2_16BIT(ptx) HALFULP_WGMMA_2(ptx, ", 1, 1, 0, 0")
#define WGMMA_F4_16BIT(ptx) HALFULP_WGMMA_4(ptx, "f", "1", ", 1, 1, 0, 0")
#define WGMMA_F4_16BIT_NO_C(ptx) HALFULP_WGMMA_4(ptx, "f", "0", ", 1, 1, 0, 0")
#define WGMMA_F4_16BIT_MINUS_A(ptx) HALFULP_WGMMA_4(ptx, "f", "1", ", -1, 1, 0, 0")
#define WGMMA_F4_16BIT_TRANSPOSED(ptx) HALFULP_WGMMA_4(ptx, "f", "1", ", 1, 1, 1, 1")
#define WGMMA_F4_16BIT_REGISTER_A(ptx)                                                                              \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; " ptx " {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, p, 1, 1, 0; }" \
               : HALFULP_4("+f", d)                                                                                 \
               : HALFULP_4("r", a), "l"(b)                                                                          \
               : "memory")

// wgmma with n = 16, 64 and 256: 8, 32 and 128 registers of D.
#define HALFULP_FROM_8(constraint, x, i)                                                                    \
  constraint(x[i]), constraint(x[i + 1]), constraint(x[i + 2]), constraint(x[i + 3]), constraint(x[i + 4]), \
      constraint(x[i + 5]), constraint(x[i + 6]), constraint(x[i + 7])
#define HALFULP_FROM_32(constraint, x, i)                                                                        \
  HALFULP_FROM_8(constraint, x, i), HALFULP_FROM_8(constraint, x, i + 8), HALFULP_FROM_8(constraint, x, i + 16), \
      HALFULP_FROM_8(constraint, x, i + 24)
#define HALFULP_FROM_128(constraint, x, i)                                                                           \
  HALFULP_FROM_32(constraint, x, i), HALFULP_FROM_32(constraint, x, i + 32), HALFULP_FROM_32(constraint, x, i + 64), \
      HALFULP_FROM_32(constraint, x, i + 96)
#define HALFULP_TEN(t) \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define WGMMA_F8_16BIT(ptx) \
  HALFULP_WGMMA(ptx, "{%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9", HALFULP_8("+f", d), "1", ", 1, 1, 0, 0")
#define WGMMA_F32_16BIT(ptx)                                                                \
  HALFULP_WGMMA(ptx, "{" HALFULP_TEN() HALFULP_TEN(1) HALFULP_TEN(2) "%30, %31}, %32, %33", \
                HALFULP_FROM_32("+f", d, 0), "1", ", 1, 1, 0, 0")
#define HALFULP_WGMMA_128(ptx, rest)                                                                         \
  HALFULP_WGMMA(ptx,                                                                                         \
                "{" HALFULP_TEN() HALFULP_TEN(1) HALFULP_TEN(2) HALFULP_TEN(3) HALFULP_TEN(4) HALFULP_TEN(5) \
                    HALFULP_TEN(6) HALFULP_TEN(7) HALFULP_TEN(8) HALFULP_TEN(9) HALFULP_TEN(10)              \
                        HALFULP_TEN(11) "%120, %121, %122, %123, %124, %125, %126, %127}, %128, %129",       \
                HALFULP_FROM_128("+f", d, 0), "1", rest)
#define WGMMA_F128_16BIT(ptx) HALFULP_WGMMA_128(ptx, ", 1, 1, 0, 0")
#define WGMMA_F128(ptx) HALFULP_WGMMA_128(ptx, ", 1, 1")

// The registers of each form: D and how many, A and B.
enum class Operands {
  Registers,
  SharedAB,
  SharedTransposed,  // both, rows of A and columns of B contiguous instead of k
  SharedB,
};
template <class A, int kD, class W, int kA, int kB, Operands kOperands = Operands::Registers>
struct Form {
  using Accumulator = A;
  using Word = W;
  static constexpr int d_words = kD, a_words = kA, b_words = kB;
  static constexpr Operands operands = kOperands;
};
struct Form_MMA_4_2_F4 : Form<float, 4, uint32_t, 4, 2> {};
struct Form_MMA_2_1_F4 : Form<float, 4, uint32_t, 2, 1> {};
struct Form_MMA_4_2_R4 : Form<uint32_t, 4, uint32_t, 4, 2> {};
struct Form_MMA_2_1_R4 : Form<uint32_t, 4, uint32_t, 2, 1> {};
struct Form_MMA_4_2_R2 : Form<uint32_t, 2, uint32_t, 4, 2> {};
struct Form_MMA_2_1_R2 : Form<uint32_t, 2, uint32_t, 2, 1> {};
struct Form_MMA_1_1_D2 : Form<double, 2, double, 1, 1> {};
struct Form_MMA_2_1_D4 : Form<double, 4, double, 2, 1> {};
struct Form_MMA_4_2_D4 : Form<double, 4, double, 4, 2> {};
struct Form_MMA_8_4_D4 : Form<double, 4, double, 8, 4> {};
struct Form_WGMMA_F4 : Form<float, 4, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_R4 : Form<uint32_t, 4, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_R2 : Form<uint32_t, 2, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_R2_16BIT : Form_WGMMA_R2 {};
struct Form_WGMMA_F4_16BIT : Form_WGMMA_F4 {};
struct Form_WGMMA_F8_16BIT : Form<float, 8, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_F32_16BIT : Form<float, 32, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_F128_16BIT : Form<float, 128, uint32_t, 4, 2, Operands::SharedAB> {};
struct Form_WGMMA_F128 : Form_WGMMA_F128_16BIT {};
struct Form_WGMMA_F4_16BIT_NO_C : Form_WGMMA_F4 {};
struct Form_WGMMA_F4_16BIT_MINUS_A : Form_WGMMA_F4 {};
struct Form_WGMMA_F4_16BIT_TRANSPOSED : Form<float, 4, uint32_t, 4, 2, Operands::SharedTransposed> {};
struct Form_WGMMA_F4_16BIT_REGISTER_A : Form<float, 4, uint32_t, 4, 2, Operands::SharedB> {};

// run() issues the instruction; false where the target lacks it.
#define INSTRUCTION(name, ptx, form, feature, m, n, k, a_format, b_format, accumulator, unit, recorded) \
  struct name : Form_##form {                                                                           \
    static constexpr int rows = m, columns = n;                                                         \
    template <class A, class B>                                                                         \
    static __device__ __forceinline__ bool run(Accumulator* d, const A& a, const B& b) {                \
      HALFULP_##feature(form(ptx));                                                                     \
    }                                                                                                   \
  };
#include "cuda/instructions.inc"
#undef INSTRUCTION

// ---- fragments (PTX ISA, "Matrix Fragments"): which words a lane holds ----

constexpr int kLanes = 32;

// Lane 4g + t holds word t of four of row g; further registers go down 8 rows first, then to the next four words.
template <class I>
__device__ void load_a(const typename I::Word* a, int first_row, typename I::Word* registers) {
  constexpr int row_words = 4 * I::b_words, row_blocks = I::operands == Operands::Registers ? I::rows / 8 : 2;
  const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  for (int r = 0; r < I::a_words; ++r)
    registers[r] = a[(first_row + g + 8 * (r % row_blocks)) * row_words + t + 4 * (r / row_blocks)];
}

template <class I>
__device__ void load_b(const typename I::Word* b, typename I::Word* registers) {
  const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  for (int r = 0; r < I::b_words; ++r) registers[r] = b[g * 4 * I::b_words + t + 4 * r];
}

// Where word i of C and D of this lane lies: four lanes hold a row of eight columns, and further registers go down 8
// rows first, then to the next eight columns.
template <class I>
__device__ int d_index(int first_row, int i) {
  constexpr int row_blocks = I::rows == 8 ? 1 : 2, column_blocks = I::columns / 8,
                words = I::d_words / (row_blocks * column_blocks);
  const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  const int row = first_row + g + 8 * (i / words % row_blocks), column_block = i / (words * row_blocks);
  return ((row * column_blocks + column_block) * 4 + t) * words + i % words;
}

template <class I>
constexpr int kTileWords = (I::operands == Operands::Registers ? 1 : 4) * kLanes* I::d_words;  // of C and D

// ---- kernels ----

struct Pointers {
  const void *a, *b, *c;
  void* d;
  unsigned count;
  int* absent;  // set where the target lacks the instruction
};

constexpr int kWarps = 4;

// mma.sync: a warp per tile.
template <class I>
__device__ void run_warp(const Pointers& all) {
  using Word = typename I::Word;
  using Accumulator = typename I::Accumulator;
  const unsigned tile = blockIdx.x * kWarps + threadIdx.x / kLanes;
  if (tile >= all.count) return;
  Word a[I::a_words], b[I::b_words];
  Accumulator d[I::d_words];
  load_a<I>(static_cast<const Word*>(all.a) + size_t(tile) * kLanes * I::a_words, 0, a);
  load_b<I>(static_cast<const Word*>(all.b) + size_t(tile) * kLanes * I::b_words, b);
  const size_t first = size_t(tile) * kTileWords<I>;
  for (int i = 0; i < I::d_words; ++i) d[i] = static_cast<const Accumulator*>(all.c)[first + d_index<I>(0, i)];
  if (!I::run(d, a, b)) *all.absent = 1;
  for (int i = 0; i < I::d_words; ++i) static_cast<Accumulator*>(all.d)[first + d_index<I>(0, i)] = d[i];
}

constexpr int kGroupThreads = 128;
constexpr int kRowBytes = 32;  // of A, and of a column of B: what one wgmma takes

// Shared memory in core matrices of 8 rows times 16 bytes, without a swizzle: the two of one row lie 128 bytes apart,
// those of the next 8 rows 256 bytes.
__device__ void store_core_matrices(const uint32_t* from, int rows, uint8_t* to) {
  for (int i = threadIdx.x; i < rows * kRowBytes / 4; i += kGroupThreads) {
    const int row = i / (kRowBytes / 4), byte = i % (kRowBytes / 4) * 4;
    *reinterpret_cast<uint32_t*>(to + row / 8 * 256 + byte / 16 * 128 + row % 8 * 16 + byte % 16) = from[i];
  }
}

// The same of elements of 16 bits in core matrices of 8 k times 16 bytes of rows.
__device__ void store_transposed_core_matrices(const uint16_t* from, int rows, uint8_t* to) {
  constexpr int kRow = kRowBytes / 2;
  for (int i = threadIdx.x; i < rows * kRow; i += kGroupThreads) {
    const int row = i / kRow, k = i % kRow;
    *reinterpret_cast<uint16_t*>(to + row / 8 * 256 + k / 8 * 128 + k % 8 * 16 + row % 8 * 2) = from[i];
  }
}

template <class I>
__device__ void store_operand(const uint32_t* from, int rows, uint8_t* to) {
  if constexpr (I::operands == Operands::SharedTransposed)
    store_transposed_core_matrices(reinterpret_cast<const uint16_t*>(from), rows, to);
  else
    store_core_matrices(from, rows, to);
}

// Address, distance along k and distance along rows, in units of 16 bytes (PTX ISA, "Matrix Descriptor").
__device__ uint64_t descriptor(const uint8_t* shared) {
  const uint64_t address = __cvta_generic_to_shared(shared);
  return (address & 0x3ffff) >> 4 | uint64_t{128 >> 4} << 16 | uint64_t{256 >> 4} << 32;
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
__device__ void begin_group() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ void end_group() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}
#else
__device__ void begin_group() {}
__device__ void end_group() {}
#endif

// wgmma: four warps per tile.
template <class I>
__device__ void run_group(const Pointers& all) {
  using Accumulator = typename I::Accumulator;
  __shared__ alignas(128) uint8_t shared_a[I::rows * kRowBytes];
  __shared__ alignas(128) uint8_t shared_b[I::columns * kRowBytes];
  const unsigned tile = blockIdx.x;
  const int first_row = 16 * (threadIdx.x / kLanes);
  const uint32_t* a = static_cast<const uint32_t*>(all.a) + size_t(tile) * I::rows * kRowBytes / 4;
  store_operand<I>(a, I::rows, shared_a);
  store_operand<I>(static_cast<const uint32_t*>(all.b) + size_t(tile) * I::columns * kRowBytes / 4, I::columns,
                   shared_b);
  uint32_t a_registers[I::a_words];
  load_a<I>(a, first_row, a_registers);
  Accumulator d[I::d_words];
  const size_t first = size_t(tile) * kTileWords<I>;
  for (int i = 0; i < I::d_words; ++i) d[i] = static_cast<const Accumulator*>(all.c)[first + d_index<I>(first_row, i)];
  begin_group();
  bool present;
  if constexpr (I::operands == Operands::SharedB)
    present = I::run(d, a_registers, descriptor(shared_b));
  else
    present = I::run(d, descriptor(shared_a), descriptor(shared_b));
  end_group();
  if (!present) *all.absent = 1;
  for (int i = 0; i < I::d_words; ++i) static_cast<Accumulator*>(all.d)[first + d_index<I>(first_row, i)] = d[i];
}

template <class I>
__global__ void run_kernel(Pointers all) {
  if constexpr (I::operands == Operands::Registers)
    run_warp<I>(all);
  else
    run_group<I>(all);
}

template <class I>
void launch(const Pointers& all) {
  if constexpr (I::operands == Operands::Registers)
    run_kernel<I><<<(all.count + kWarps - 1) / kWarps, kWarps * kLanes>>>(all);
  else
    run_kernel<I><<<all.count, kGroupThreads>>>(all);
}

void (*const kLaunch[])(const Pointers&) = {
#define INSTRUCTION(name, ...) &launch<name>,
#include "cuda/instructions.inc"
#undef INSTRUCTION
};

// The first line that Linux shows of the driver.
std::string driver_text() {
  int version = 0;
  require(cudaDriverGetVersion(&version), "driver version");
  std::string text;
  std::ifstream file("/proc/driver/nvidia/version");
  std::getline(file, text);
  return text + (text.empty() ? "" : "; ") + "CUDA " + std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
}

}  // namespace

DeviceInfo device_info() {
  cudaDeviceProp device{};
  require(cudaGetDeviceProperties(&device, 0), "no usable device");
  const std::string compiler = std::to_string(__CUDACC_VER_MAJOR__) + "." + std::to_string(__CUDACC_VER_MINOR__) + "." +
                               std::to_string(__CUDACC_VER_BUILD__);
  return {device.name, 10 * device.major + device.minor, driver_text(),
          std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10), compiler};
}

std::vector<uint8_t> run_tiles(const Instruction& instruction, const PackedTiles& tiles, int repeats) {
  const DeviceBytes a(tiles.a), b(tiles.b), c(tiles.c), d(tiles.c.size()), absent(std::vector<uint8_t>(sizeof(int)));
  const Pointers all = {a.data, b.data, c.data, d.data, unsigned(tiles.count), reinterpret_cast<int*>(absent.data)};
  std::vector<uint8_t> outputs;
  for (int i = 0; i < repeats; ++i) {
    kLaunch[instruction.number](all);
    require(cudaGetLastError(), "kernel");
    const std::vector<uint8_t> again = d.copy();
    if (i > 0 && again != outputs) throw std::runtime_error(std::string(instruction.name) + ": repeats differ");
    outputs = again;
  }
  if (absent.copy()[0] != 0) throw AbsentInstruction(std::string(instruction.name) + ": the device lacks it");
  return outputs;
}

}  // namespace halfulp::cuda
