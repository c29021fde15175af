#include "inure/base/error.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/data/record.hpp"

namespace inure::data {
namespace {

class LmdbRecords : public RecordSet {
 public:
  LmdbRecords(const std::string& source, Color color, std::string where)
      : where_(std::move(where)), reader_(source, where_), color_(color) {}

  std::int64_t size() const override { return reader_.size(); }

  void read(std::int64_t position, Record& record) override {
    const auto entry = reader_.read(position % reader_.size());
    decode_datum(entry.value, color_, fmt::format("{}: record '{}'", where_, printable(entry.key)),
                 record);
  }

 private:
  std::string where_;
  LmdbReader reader_;
  Color color_;
};

}  // namespace

std::unique_ptr<RecordSet> open_lmdb_records(const caffe::LayerParameter& layer,
                                             const std::string& where) {
  const auto& param = layer.data_param();
  if (param.source().empty()) fail("{}: data_param names no source", where);
  const std::string named = fmt::format("{}: source '{}'", where, param.source());
  if (param.backend() != caffe::DataParameter::LMDB) {
    fail(
        "{}: has the backend LEVELDB{}; Inure reads LMDB only: convert the data and write "
        "backend: LMDB",
        named, param.has_backend() ? "" : " (Caffe's default)");
  }
  const auto& transform = layer.transform_param();
  if (transform.force_color() && transform.force_gray()) {
    fail("{}: has both force_color and force_gray", where);
  }
  const Color color = transform.force_color()  ? Color::kColor
                      : transform.force_gray() ? Color::kGray
                                               : Color::kAsStored;
  return std::make_unique<LmdbRecords>(param.source(), color, named);
}

}  // namespace inure::data
