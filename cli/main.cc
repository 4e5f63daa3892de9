#include "formats/isa.h"

int main() { return halfulp::active_isa() == halfulp::Isa::Portable ? 0 : 0; }
