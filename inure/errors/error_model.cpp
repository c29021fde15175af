#include "inure/errors/error_model.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "inure/accelerator/accelerator.hpp"
#include "inure/base/error.hpp"
#include "inure/errors/bit_flip.hpp"
#include "inure/errors/stuck_at.hpp"
#include "inure/errors/timing_errors.hpp"

namespace inure {
namespace {

bool concerns(const google::protobuf::RepeatedPtrField<std::string>& layers,
              const std::string& layer) {
  return layers.empty() || std::count(layers.begin(), layers.end(), layer) > 0;
}

}  // namespace

ErrorSources::ErrorSources(ErrorsDescription description) : description_(std::move(description)) {
  if (description_.has_timing()) timing_ = load_timing_lanes(description_.timing());
}

ErrorSources::ErrorSources(ErrorsDescription description, TimingLanesCache& cache)
    : description_(std::move(description)) {
  if (description_.has_timing()) timing_ = cache.load(description_.timing());
}

ErrorModels ErrorSources::models(const std::string& layer, std::uint32_t vec_size) const {
  const ErrorsDescription& errors = description_;
  ErrorModels models;
  if (timing_) {  // the first: it reads the sums
    if (static_cast<int>(vec_size) != timing_->vec_size) {
      fail("errors: timing: {}: a lane of {} multipliers; the accelerator's vec_size is {}",
           errors.timing().profile(0), timing_->vec_size, vec_size);
    }
    if (concerns(errors.timing().layer(), layer)) {
      models.push_back(make_timing_errors(timing_, layer));
    }
  }
  for (int i = 0; i < errors.bit_flip_size(); ++i) {
    const BitFlipDescription& flip = errors.bit_flip(i);
    const int high =
        flip.has_high_bit() ? static_cast<int>(flip.high_bit()) : bits_of(flip.where()) - 1;
    if (concerns(flip.layer(), layer) && flip.rate() > 0) {
      models.push_back(make_bit_flip(flip.where(), flip.rate(), static_cast<int>(flip.low_bit()),
                                     high, static_cast<std::uint32_t>(i)));
    }
  }
  std::set<std::string> faults;
  for (const StuckAtDescription& fault : errors.stuck_at()) {
    if (!faults.insert(fault.SerializeAsString()).second) continue;  // every fault counts once
    models.push_back(make_stuck_at(static_cast<int>(fault.lane()),
                                   static_cast<int>(fault.multiplier()),
                                   static_cast<int>(fault.bit()), fault.value() == 1));
  }
  return models;
}

}  // namespace inure
