#pragma once

/// The version of these headers, which is the library's: every change of the minor number may break a program while the
/// major one is 0.
#define EVIO_VERSION_MAJOR 0
#define EVIO_VERSION_MINOR 1
#define EVIO_VERSION_PATCH 0

/// The same as a number to compare: major * 10000 + minor * 100 + patch.
#define EVIO_VERSION (EVIO_VERSION_MAJOR * 10000 + EVIO_VERSION_MINOR * 100 + EVIO_VERSION_PATCH)

/// The same as text: "0.1.0".
#define EVIO_VERSION_STRING \
  EVIO_DETAIL_TEXT(EVIO_VERSION_MAJOR) "." EVIO_DETAIL_TEXT(EVIO_VERSION_MINOR) "." EVIO_DETAIL_TEXT(EVIO_VERSION_PATCH)

#define EVIO_DETAIL_TEXT(number) EVIO_DETAIL_TEXT_OF(number)
#define EVIO_DETAIL_TEXT_OF(text) #text
