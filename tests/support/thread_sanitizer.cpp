// What ThreadSanitizer cannot know.
#include "tests/support/timing.hpp"

#if EVIO_TEST_THREAD_SANITIZER
// OpenSSL is not compiled for it: seen are its calls of free(3) and memcpy(3), and not the atomic counts that order
// them. A session that two connections have used would be a race.
extern "C" const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() { return "called_from_lib:libcrypto.so\n"; }
#endif
