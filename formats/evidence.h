// How it is known that a row of a table is right; printed beside the row.
#pragma once

#include "formats/names.h"

namespace halfulp {

enum class Evidence {
  Hardware,      // replays captured outputs of the hardware bit for bit
  Verified,      // compared with the implementation or another one, code by code
  ReadInSource,  // read in the implementation's source
  Specified,     // read in the document that defines it
  Convention,    // a common or own choice that no document states
  Unverified,    // neither could be read, or what it needs is not at hand
};

template <>
struct EnumNames<Evidence> {
  static constexpr std::string_view kind = "evidence";
  static constexpr NamedValue<Evidence> values[] = {
      {Evidence::Hardware, "hardware"},           {Evidence::Verified, "verified"},
      {Evidence::ReadInSource, "read_in_source"}, {Evidence::Specified, "specified"},
      {Evidence::Convention, "convention"},       {Evidence::Unverified, "unverified"}};
};

}  // namespace halfulp
