// Which instruction set the kernels of this run use.
//
// Every kernel gives the same bits on each of them; the choice changes speed only. Kernel files (*_kernels.cc) are
// compiled once per set, into the namespaces portable, avx2 and avx512.
#pragma once

namespace halfulp {

enum class Isa { Portable, Avx2, Avx512 };

/// The best set this machine has, or the one that the environment variable HALFULP_ISA (portable, avx2, avx512) names.
/// Throws std::invalid_argument when that name is unknown or the machine lacks the set. Decided once per process.
Isa active_isa();

const char* name(Isa isa);

}  // namespace halfulp
