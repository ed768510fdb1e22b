#include "volpipe_json.h"

#include <stdlib.h>

// Nothing of the C++ runtime is needed: no exceptions, no operator new.
#define RAPIDJSON_NEW(type) nullptr
#define RAPIDJSON_DELETE(pointer) ((void)(pointer))
#define RAPIDJSON_HAS_STDSTRING 0
#include <rapidjson/reader.h>

namespace {

using Stream = rapidjson::GenericInsituStringStream<rapidjson::UTF8<>>;

// Writes events down as nodes.
class Tape {
 public:
  Tape(const char *text, Stream &stream, uint32_t maximumDepth, uint32_t maximumNodes)
      : text_(text), stream_(stream), maximumDepth_(maximumDepth), maximumNodes_(maximumNodes) {}
  ~Tape() { free(open_); }

  volpipe_json_error error = volpipe_json_ok;
  volpipe_json_node *nodes = nullptr;
  uint32_t count = 0;

  bool Null() { return add(volpipe_json_null, 0, stream_.Tell() - 4); }
  bool Bool(bool value) {
    return value ? add(volpipe_json_true, 0, stream_.Tell() - 4)
                 : add(volpipe_json_false, 0, stream_.Tell() - 5);
  }
  bool RawNumber(const char *begin, rapidjson::SizeType length, bool) {
    return add(volpipe_json_number, length, begin - text_);
  }
  bool String(const char *begin, rapidjson::SizeType length, bool) {
    return add(volpipe_json_string, length, begin - text_);
  }
  bool Key(const char *begin, rapidjson::SizeType length, bool) {
    return add(volpipe_json_string, length, begin - text_);
  }
  bool StartObject() { return open(volpipe_json_object); }
  bool EndObject(rapidjson::SizeType members) { return close(members); }
  bool StartArray() { return open(volpipe_json_array); }
  bool EndArray(rapidjson::SizeType elements) { return close(elements); }

  // Numbers come as text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

 private:
  const char *text_;
  Stream &stream_;
  uint32_t maximumDepth_, maximumNodes_;
  uint32_t room_ = 0;
  uint32_t depth_ = 0, openRoom_ = 0;
  uint32_t *open_ = nullptr;

  bool fail(volpipe_json_error reason) {
    error = reason;
    return false;
  }

  bool add(volpipe_json_kind kind, size_t length, size_t place) {
    if (count == maximumNodes_) return fail(volpipe_json_too_many);
    if (count == room_) {
      uint32_t room = room_ ? room_ * 2 : 64;
      void *more = realloc(nodes, room * sizeof *nodes);
      if (!more) return fail(volpipe_json_out_of_memory);
      nodes = static_cast<volpipe_json_node *>(more);
      room_ = room;
    }
    nodes[count] = {kind, static_cast<uint32_t>(length), static_cast<uint32_t>(place), count + 1};
    count++;
    return true;
  }

  bool open(volpipe_json_kind kind) {
    if (depth_ == maximumDepth_) return fail(volpipe_json_too_deep);
    if (depth_ == openRoom_) {
      uint32_t room = openRoom_ ? openRoom_ * 2 : 16;
      void *more = realloc(open_, room * sizeof *open_);
      if (!more) return fail(volpipe_json_out_of_memory);
      open_ = static_cast<uint32_t *>(more);
      openRoom_ = room;
    }
    open_[depth_++] = count;
    return add(kind, 0, stream_.Tell());
  }

  bool close(rapidjson::SizeType held) {
    volpipe_json_node &node = nodes[open_[--depth_]];
    node.length = held;
    node.end = count;
    return true;
  }
};

volpipe_json_error reason(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty: return volpipe_json_empty;
    case rapidjson::kParseErrorDocumentRootNotSingular: return volpipe_json_text_behind;
    case rapidjson::kParseErrorObjectMissName: return volpipe_json_no_key;
    case rapidjson::kParseErrorObjectMissColon: return volpipe_json_no_colon;
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
      return volpipe_json_no_comma_in_object;
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
      return volpipe_json_no_comma_in_array;
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
      return volpipe_json_bad_unicode_escape;
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid: return volpipe_json_bad_surrogate;
    case rapidjson::kParseErrorStringEscapeInvalid: return volpipe_json_bad_escape;
    case rapidjson::kParseErrorStringMissQuotationMark: return volpipe_json_open_string;
    case rapidjson::kParseErrorStringInvalidEncoding: return volpipe_json_bad_encoding;
    case rapidjson::kParseErrorNumberTooBig: return volpipe_json_number_too_big;
    case rapidjson::kParseErrorNumberMissFraction:
    case rapidjson::kParseErrorNumberMissExponent: return volpipe_json_bad_number;
    default: return volpipe_json_no_value;
  }
}

}  // namespace

volpipe_json_error volpipe_json_parse(char *text, uint32_t maximum_depth, uint32_t maximum_nodes,
                                      volpipe_json_tape *result) {
  rapidjson::CrtAllocator allocator;
  Stream stream(text);
  Tape tape(text, stream, maximum_depth, maximum_nodes);
  rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, rapidjson::CrtAllocator> reader(
      &allocator);
  const unsigned flags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                         rapidjson::kParseNumbersAsStringsFlag |
                         rapidjson::kParseValidateEncodingFlag;
  rapidjson::ParseResult parsed = reader.Parse<flags>(stream, tape);
  result->nodes = tape.nodes;
  result->count = tape.count;
  result->error_place = parsed.Offset();
  if (parsed) return volpipe_json_ok;
  return tape.error != volpipe_json_ok ? tape.error : reason(parsed.Code());
}
