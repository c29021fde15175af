#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "inure/data/source.hpp"

namespace inure::data {

// Makes any batch of a data layer. Used by one thread at a time.
class BatchMaker {
 public:
  virtual ~BatchMaker() = default;
  virtual std::vector<std::vector<std::int64_t>> shapes() const = 0;
  virtual std::int64_t records() const = 0;
  virtual std::vector<Array> make(std::int64_t batch) = 0;
};

// `where` names the layer in errors.
std::unique_ptr<BatchMaker> make_record_batches(const caffe::LayerParameter& layer,
                                                caffe::Phase phase, std::uint64_t seed,
                                                const std::string& where);
std::unique_ptr<BatchMaker> make_input_batches(const caffe::LayerParameter& layer,
                                               const std::string& where);
std::unique_ptr<BatchMaker> make_dummy_batches(const caffe::LayerParameter& layer,
                                               std::uint64_t seed, const std::string& where);

// Makes batches ahead, in order, on a thread of its own that starts with the first next().
class PrefetchingSource : public Source {
 public:
  static constexpr std::size_t kAhead = 3;

  explicit PrefetchingSource(std::unique_ptr<BatchMaker> maker) : maker_(std::move(maker)) {}
  ~PrefetchingSource() override { stop(); }

  std::vector<std::vector<std::int64_t>> shapes() const override { return shapes_; }
  std::int64_t records() const override { return records_; }
  // An error of the thread comes here, after the batches before it, at every call until seek().
  std::vector<Array> next() override;
  void seek(std::int64_t batch) override;

 private:
  void stop();
  void work(const std::stop_token& stopped, std::int64_t batch);

  std::unique_ptr<BatchMaker> maker_;  // the thread's while it runs
  const std::vector<std::vector<std::int64_t>> shapes_ = maker_->shapes();
  const std::int64_t records_ = maker_->records();
  std::int64_t next_ = 0;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::vector<Array>> ready_;  // guarded by mutex_
  std::exception_ptr error_;              // guarded by mutex_
  std::jthread thread_;
};

}  // namespace inure::data
