// What ThreadSanitizer cannot know.
#include "tests/support/timing.hpp"

#if EVIO_TEST_THREAD_SANITIZER
// OpenSSL is not compiled for it: seen are its calls of free(3) and memcpy(3), and not the atomic counts that order
// them. A session that two connections have used would be a race. Where libcrypto's CRYPTO_free() ends with a jump to
// free(3), it is libssl that appears to call it.
extern "C" const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() { return "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n"; }
#endif
