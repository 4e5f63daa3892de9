// The numbers of the formats that follow no simple rule. Internal to formats/.
#pragma once

#include "formats/format.h"

namespace halfulp {

extern const LevelTable kHifloat8;
extern const LevelTable kNormalFloat4;     // QLoRA's NF4, as bitsandbytes lists it
extern const LevelTable kBitsandbytesFp4;  // in binary32, divided by its largest number 12

}  // namespace halfulp
