# Accuracy against error rate, as FOLDER/accuracy.svg and FOLDER/accuracy.png, from FOLDER/accuracy.csv:
# a head line with the series' names, then in each line a rate and an accuracy (%) for each series.
#   gnuplot -e "folder='demo'; float=87.9; exact=87.8" scripts/demo.gnuplot

csv = folder . '/accuracy.csv'
set datafile separator ','
stats csv skip 1 using 1 nooutput name 'RATE'
COLUMNS = int(system(sprintf("head -n 1 '%s' | tr -cd , | wc -c", csv)))

set logscale x
set format x '10^{%T}'
set xrange [RATE_min / 1.6 : RATE_max * 1.6]
set yrange [0:100]
set ytics 20
set mxtics 10
set border 3 lc rgb '#555555'
set tics nomirror textcolor rgb '#333333'
set grid xtics ytics lt 1 lc rgb '#e0e0e0' lw 1
set rmargin 3
set xlabel 'probability that a bit of a product flips' textcolor rgb '#333333'
set ylabel 'right answers on 10,000 test images (%)' textcolor rgb '#333333' offset 1
set title 'LeNet on Fashion-MNIST, forward pass on an accelerator with bit flips'
set key left bottom Left reverse spacing 1.4 samplen 2.5 width 1 noautotitle  # not opaque: hides no data
set bmargin 4.2

# Okabe and Ito's colours, told apart by the colour-blind too, and a shape for each.
set style line 1 lc rgb '#D55E00' lw 3 pt 5 ps 1.2
set style line 2 lc rgb '#0072B2' lw 3 pt 7 ps 1.3
set style line 3 lc rgb '#009E73' lw 3 pt 9 ps 1.4

plots = "exact with lines lc rgb '#888888' lw 2 dt (8,6) title sprintf('int8 without errors: %.1f %% (float: %.1f %%)', exact, float)"
do for [i=1:COLUMNS] {
  plots = plots . sprintf(", csv using 1:%d with linespoints ls %d title columnheader(%d)", i + 1, i, i + 1)
}

set terminal svg size 900,560 font 'DejaVu Sans,15' background '#ffffff'
set output folder . '/accuracy.svg'
eval 'plot ' . plots
set terminal pngcairo size 1350,840 font 'DejaVu Sans,17' background '#ffffff' linewidth 1.4 pointscale 1.4
set output folder . '/accuracy.png'
eval 'plot ' . plots
