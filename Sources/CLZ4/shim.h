/// The system's liblz4, of which Warren uses the frame format (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
#ifndef WARREN_CLZ4_H
#define WARREN_CLZ4_H

#include <lz4frame.h>

#endif
