#pragma once

// INURE_CLONES before a function: the compiler makes it three times, for AVX-512, for AVX2 and for
// any x86-64, and the processor's best one runs. The results are the same bits: the build forbids
// fused multiply-add. (Not under the address sanitizer, which starts too late for the choice.)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define INURE_CLONES [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define INURE_CLONES
#endif
