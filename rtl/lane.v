// One lane of PipeCNN's convolution core: VEC_SIZE signed 8x8 products a cycle, an adder tree and an
// accumulator of 32 bits that wraps.
//
// PIPELINE is the number of register stages behind the operand registers:
//   2   product | tree and accumulator
//   3   product | tree | accumulator
//   4   two 8x4 partial products | product | tree | accumulator
//
// The contract, which a design of your own has to keep:
//   - Ports: clk; first; activations and weights, element i in bits [8*i +: 8], two's complement;
//     result, the accumulator. One clock, rising edge; other inputs are held (--tie rst=0).
//   - Operands and first are sampled at one edge, all together; result holds the sum that includes
//     them PIPELINE edges later. first restarts the accumulator with the products it comes with.
//   - These registers have these names, or --register gives them, here or in one instance below:
//       activation, weight     the operand registers, 8 bits an element
//       product                16 bits an element, two's complement, in one cycle or several
//   - The accumulator is the 32 registers that result shows. What it captures wrongly, less the
//     products' errors, counts as its own: so registers between product and accumulator need no
//     name.
//     After reset-free power-up their contents are arbitrary until the first `first` has passed.
module lane #(
    parameter VEC_SIZE = 4,
    parameter PIPELINE = 3
) (
    input wire clk,
    input wire first,
    input wire [8*VEC_SIZE-1:0] activations,
    input wire [8*VEC_SIZE-1:0] weights,
    output wire [31:0] result
);
  localparam SUM_BITS = 16 + $clog2(VEC_SIZE);

  (* keep *) reg [8*VEC_SIZE-1:0] activation;
  (* keep *) reg [8*VEC_SIZE-1:0] weight;
  (* keep *) reg [16*VEC_SIZE-1:0] product;
  (* keep *) reg [31:0] accumulator;
  reg first_operand, first_product;
  assign result = accumulator;

  always @(posedge clk) begin
    activation <= activations;
    weight <= weights;
    first_operand <= first;
  end

  genvar i;
  generate
    if (PIPELINE == 4) begin : partial_products
      reg first_partial;
      always @(posedge clk) begin
        first_partial <= first_operand;
        first_product <= first_partial;
      end
      for (i = 0; i < VEC_SIZE; i = i + 1) begin : element
        wire signed [7:0] a = activation[8*i+:8];
        wire signed [4:0] low_digit = {1'b0, weight[8*i+:4]};
        wire signed [3:0] high_digit = weight[8*i+4+:4];
        (* keep *) reg signed [11:0] low;
        (* keep *) reg signed [11:0] high;
        always @(posedge clk) begin
          low <= a * low_digit;
          high <= a * high_digit;
          product[16*i+:16] <= {high, 4'b0000} + {{4{low[11]}}, low};
        end
      end
    end else begin : whole_products
      always @(posedge clk) first_product <= first_operand;
      for (i = 0; i < VEC_SIZE; i = i + 1) begin : element
        wire signed [7:0] a = activation[8*i+:8];
        wire signed [7:0] b = weight[8*i+:8];
        always @(posedge clk) product[16*i+:16] <= a * b;
      end
    end
  endgenerate

  wire signed [SUM_BITS-1:0] tree;
  wire [SUM_BITS-1:0] sum;
  adder_tree #(.COUNT(VEC_SIZE), .SUM_BITS(SUM_BITS)) products (.product(product), .sum(tree));

  generate
    if (PIPELINE == 2) begin : tree_and_accumulator
      wire [31:0] addend = {{32 - SUM_BITS{tree[SUM_BITS-1]}}, tree};
      assign sum = tree;
      always @(posedge clk) accumulator <= (first_product ? 32'd0 : accumulator) + addend;
    end else begin : tree_then_accumulator
      (* keep *) reg [SUM_BITS-1:0] registered;
      reg first_sum;
      wire [31:0] addend = {{32 - SUM_BITS{sum[SUM_BITS-1]}}, sum};
      assign sum = registered;
      always @(posedge clk) begin
        registered <= tree;
        first_sum <= first_product;
        accumulator <= (first_sum ? 32'd0 : accumulator) + addend;
      end
    end
  endgenerate

  generate  // there is no such module: tools refuse any other PIPELINE
    if (PIPELINE < 2 || PIPELINE > 4) begin : check
      PIPELINE_must_be_2_3_or_4 refused ();
    end
  endgenerate
endmodule

// The sum of COUNT signed products of 16 bits, by halves.
module adder_tree #(
    parameter COUNT = 4,
    parameter SUM_BITS = 18
) (
    input wire [16*COUNT-1:0] product,
    output wire signed [SUM_BITS-1:0] sum
);
  generate
    if (COUNT == 1) begin : leaf
      wire signed [15:0] only = product;
      assign sum = only;
    end else begin : node
      wire signed [SUM_BITS-1:0] low, high;
      adder_tree #(.COUNT(COUNT / 2), .SUM_BITS(SUM_BITS)) low_half (
          .product(product[16*(COUNT/2)-1:0]), .sum(low));
      adder_tree #(.COUNT(COUNT - COUNT / 2), .SUM_BITS(SUM_BITS)) high_half (
          .product(product[16*COUNT-1:16*(COUNT/2)]), .sum(high));
      assign sum = low + high;
    end
  endgenerate
endmodule
