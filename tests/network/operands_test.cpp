// A trace of a placed layer's operands, summed and rounded, is what the layer put out.

#include "inure/errors/operand_trace.hpp"
#include "inure/pipecnn/arithmetic.hpp"
#include "inure/pipecnn/mapping.hpp"
#include "placed.hpp"

namespace inure::test {
namespace {

const char* const kNet = R"(name: 'two'
layer { name: 'data' type: 'Input' top: 'data'
  input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
  convolution_param { num_output: 10 kernel_size: 3 weight_filler { type: 'xavier' } } }
layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
layer { name: 'conv2' type: 'Convolution' bottom: 'conv1' top: 'conv2'
  convolution_param { num_output: 7 kernel_size: 2 pad: 1 weight_filler { type: 'xavier' } } }
)";

TEST(Operands, AreThoseOfTheLastPass) {
  auto net = parse(kNet, caffe::TEST);
  const AcceleratorDescription description = describe(
      "vec_size: 4 lane_num: 4"
      " format { layer: 'conv1' weights: 7 input: 5 output: 5 }"
      " format { layer: 'conv2' weights: 7 input: 5 output: 5 }");
  Placement& placement = place(*net, description);
  for (int pass = 0; pass < 2; ++pass) {
    net->set_input("data", random_values(net->blob("data").count(), 1 + pass));
    net->forward(pass);
    const auto operands = placement.operands(*net, "conv2");
    const StageSpec& s = operands.spec;
    const Int8Map& out = *net->blob("conv2").fixed_point();
    const LaneGeometry g = pipecnn::geometry_of(s, {.vec_size = 4, .lane_num = 4});
    for (int image = 0; image < 2; ++image) {
      for (int lane = 0; lane < 4; ++lane) {
        OperandTracer tracer(s, g, lane, {1'000'000, 1}, "");
        tracer.add_image(operands.input->image(image), operands.weights);
        const OperandTrace& trace = tracer.trace();
        ASSERT_EQ(trace.steps(), 2 * g.height * g.width * g.steps);
        for (std::int64_t output = 0; output < trace.steps() / g.steps; ++output) {
          int sum = 0;
          for (std::int64_t step = output * g.steps; step < (output + 1) * g.steps; ++step) {
            for (int v = 0; v < 4; ++v) {
              sum += trace.activations_at(step)[v] * trace.weights_at(step)[v];
            }
          }
          const auto pixel = output % (g.height * g.width);
          const auto m = output / (g.height * g.width) * 4 + lane - g.pad_offset;
          if (m < 0 || m >= 7) {
            EXPECT_EQ(sum, 0);
            continue;
          }
          EXPECT_EQ(pipecnn::finish_wide_bias(static_cast<std::uint32_t>(sum), 0,
                                              s.frac_w + s.frac_in - s.frac_out, s.relu),
                    out.image(image)[pixel * 7 + m])
              << "pass " << pass << " image " << image << " lane " << lane << " output " << output;
        }
      }
    }
  }
  EXPECT_EQ(error_of([&] { placement.operands(*net, "relu1"); }),
            "layer \"relu1\" does not run on the accelerator; these do: conv1, conv2");
}

}  // namespace
}  // namespace inure::test
