# One interface target carries the flags every folder is compiled with, and one function compiles a kernel file
# once per instruction set.

add_library(halfulp_flags INTERFACE)
target_compile_options(halfulp_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -Wno-missing-field-initializers  # fields left out of a designated initializer have their defaults
  -ffp-contract=off        # a fused multiply-add rounds once where the source rounds twice
  -fno-math-errno
  $<$<BOOL:${HALFULP_FUZZ}>:-fsanitize=fuzzer-no-link>
  $<$<BOOL:${HALFULP_SANITIZE}>:-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer>)
target_link_options(halfulp_flags INTERFACE
  $<$<BOOL:${HALFULP_SANITIZE}>:-fsanitize=address,undefined>)

# halfulp_add_kernels(<target> <file>): compiles <file> three times into <target>, with HALFULP_ISA naming the
# namespace (portable, avx2, avx512) its functions go to. Kernel files include no header with inline functions that
# are not always_inline: the linker could keep the AVX-512 copy of one for everybody.
function(halfulp_add_kernels target file)
  get_filename_component(stem ${file} NAME_WE)
  foreach(isa portable avx2 avx512)
    set(object ${target}_${stem}_${isa})
    add_library(${object} OBJECT ${file})
    target_compile_definitions(${object} PRIVATE HALFULP_ISA=${isa})
    target_include_directories(${object} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${object} PRIVATE halfulp_flags)
    set_property(TARGET ${object} PROPERTY POSITION_INDEPENDENT_CODE ON)
    # g++ 12 takes what its own AVX-512 header leaves undefined on purpose for a use of uninitialised registers.
    # Sums of lanes that hold a NaN are computed like all others, and wrap.
    target_compile_options(${object} PRIVATE -O3 -fwrapv $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
      $<$<STREQUAL:${isa},portable>:-march=x86-64>
      $<$<STREQUAL:${isa},avx2>:-march=x86-64-v3>
      $<$<STREQUAL:${isa},avx512>:-march=x86-64-v4 -mprefer-vector-width=512>)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()
