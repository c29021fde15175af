#include "inure/data/source.hpp"

#include <limits>

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/data/batches.hpp"

namespace inure::data {

std::vector<Array> PrefetchingSource::next() {
  if (!thread_.joinable()) {
    thread_ = std::jthread([this, first = next_](const std::stop_token& s) { work(s, first); });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || error_; });
  if (ready_.empty()) std::rethrow_exception(error_);
  std::vector<Array> batch = std::move(ready_.front());
  ready_.pop_front();
  ++next_;
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void PrefetchingSource::work(const std::stop_token& stopped, std::int64_t batch) {
  for (; !stopped.stop_requested(); ++batch) {
    std::vector<Array> made;
    std::exception_ptr error;
    try {
      made = maker_->make(batch);
    } catch (...) {
      error = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    if (error) {
      error_ = error;
      lock.unlock();
      changed_.notify_all();
      return;
    }
    changed_.wait(lock, stopped, [this] { return ready_.size() < kAhead; });
    if (stopped.stop_requested()) return;
    ready_.push_back(std::move(made));
    lock.unlock();
    changed_.notify_all();
  }
}

void PrefetchingSource::stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  ready_.clear();
  error_ = nullptr;
}

void PrefetchingSource::seek(std::int64_t batch) {
  if (batch < 0) fail("data: batch {} does not exist", batch);
  stop();
  next_ = batch;
}

void check_batch(const std::vector<std::int64_t>& shape, const std::string& where) {
  std::int64_t values = 1;
  for (const auto size : shape) {
    if (size < 1 || values > std::numeric_limits<int>::max() / size) {
      fail("{}: has the impossible shape {}; a blob of Caffe has from 1 to {} values", where,
           fmt::join(shape, " x "), std::numeric_limits<int>::max());
    }
    values *= size;
  }
  constexpr std::uint64_t kBatches =
      PrefetchingSource::kAhead + 2;  // one in the making, one in use
  check_memory(kBatches * sizeof(float) * static_cast<std::uint64_t>(values), [&] {
    return fmt::format("{}: {} batches of {}", where, kBatches, fmt::join(shape, " x "));
  });
}

std::unique_ptr<Source> make_source(const caffe::LayerParameter& layer, caffe::Phase phase,
                                    std::uint64_t seed) {
  const std::string where = fmt::format("layer '{}'", layer.name());
  if (layer.top_size() == 0) fail("{}: has no top", where);
  std::unique_ptr<BatchMaker> maker;
  if (layer.type() == "Data" || layer.type() == "ImageData") {
    maker = make_record_batches(layer, phase, seed, where);
  } else if (layer.type() == "Input") {
    maker = make_input_batches(layer, where);
  } else if (layer.type() == "DummyData") {
    maker = make_dummy_batches(layer, seed, where);
  } else {
    fail(
        "{}: the type '{}' is no source of data that Inure reads; put Data (`inure convert` makes "
        "its "
        "database), ImageData, Input or DummyData in its place",
        where, layer.type());
  }
  return std::make_unique<PrefetchingSource>(std::move(maker));
}

}  // namespace inure::data
