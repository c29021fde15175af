// Checks a lane against arithmetic: sequences of random and extreme operands of random length, every
// product, every cycle's accumulator. Ends with PASS or with the first difference.
`timescale 1ns / 1ps
module lane_test;
  parameter VEC_SIZE = 4;
  parameter PIPELINE = 3;
  parameter CYCLES = 6000;
  localparam PRODUCT_AT = (PIPELINE == 4) ? 2 : 1;  // edges from operand to product register
  localparam DEPTH = 8;

  reg clk = 0;
  reg first = 1;
  reg [8*VEC_SIZE-1:0] activations = 0, weights = 0;
  wire [31:0] result;
  lane #(.VEC_SIZE(VEC_SIZE), .PIPELINE(PIPELINE)) dut (
      .clk(clk), .first(first), .activations(activations), .weights(weights), .result(result));

  // What the products and the accumulator must be, by the cycle in which the operands were sampled.
  reg [16*VEC_SIZE-1:0] products[0:DEPTH-1];
  reg [31:0] sums[0:DEPTH-1];
  reg [31:0] accumulator;
  integer cycle, i, seed;
  reg signed [7:0] a, b;
  reg signed [15:0] p;

  function [7:0] operand(input integer unused);
    case ($random(seed) & 7)
      0: operand = 8'h80;
      1: operand = 8'h7f;
      2: operand = 8'h00;
      3: operand = 8'hff;
      default: operand = $random(seed);
    endcase
  endfunction

  task expect_arithmetic;  // of the operands at the ports
    begin
      if (first) accumulator = 0;
      for (i = 0; i < VEC_SIZE; i = i + 1) begin
        a = activations[8*i+:8];
        b = weights[8*i+:8];
        p = a * b;
        products[cycle%DEPTH][16*i+:16] = p;
        accumulator = accumulator + {{16{p[15]}}, p};
      end
      sums[cycle%DEPTH] = accumulator;
    end
  endtask

  initial begin
    seed = 1;
    accumulator = 0;
    for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
      // One long sum to begin with, of the extreme product at first.
      first = cycle == 0 || (cycle > CYCLES / 2 && ($random(seed) & 15) == 0);
      for (i = 0; i < VEC_SIZE; i = i + 1) begin
        activations[8*i+:8] = cycle < CYCLES / 4 ? 8'h80 : operand(0);
        weights[8*i+:8] = cycle < CYCLES / 4 ? 8'h80 : operand(0);
      end
      expect_arithmetic;
      #1 clk = 1;
      #1 clk = 0;
      if (cycle >= PRODUCT_AT && dut.product !== products[(cycle-PRODUCT_AT)%DEPTH]) begin
        $display("FAIL: cycle %0d: products %h, expected %h", cycle, dut.product,
                 products[(cycle-PRODUCT_AT)%DEPTH]);
        $finish_and_return(1);
      end
      if (cycle >= PIPELINE && result !== sums[(cycle-PIPELINE)%DEPTH]) begin
        $display("FAIL: cycle %0d: result %h, expected %h", cycle, result,
                 sums[(cycle-PIPELINE)%DEPTH]);
        $finish_and_return(1);
      end
      if (cycle == 100) begin  // near the wrap at 2^31: the long sum passes it at once
        dut.accumulator = dut.accumulator + 32'h7f000000;
        accumulator = accumulator + 32'h7f000000;
        for (i = 0; i < DEPTH; i = i + 1) sums[i] = sums[i] + 32'h7f000000;
      end
    end
    $display("PASS: VEC_SIZE %0d, PIPELINE %0d, %0d cycles", VEC_SIZE, PIPELINE, CYCLES);
    $finish_and_return(0);
  end
endmodule
