# Draws the chart of bench/run: wants `ratios`, messages/s of each server to the bare loop's, and `counts`, instructions of a message.
set terminal svg size 960,640 font "sans-serif,13" background "#ffffff" dynamic
set datafile separator "\t"
set datafile missing "?"
set style data histograms
set style histogram clustered gap 1.4
set style fill solid noborder
set boxwidth 0.92
set grid ytics linecolor "#dddddd" linewidth 1
set tics nomirror scale 0.5
set border 3
# In the order of the servers: the limit, ours, the others.
array colours[7] = ["#3c4043", "#d93025", "#9ecae1", "#6baed6", "#3182bd", "#08519c", "#bdbdbd"]
columns = int(system(sprintf("head -1 '%s' | awk -F'\\t' '{ print NF }'", ratios)))
set multiplot layout 2, 1
set key outside right top vertical samplen 1.5
set title "Messages a second, the bare epoll loop being 1 (longer is better)"
set yrange [0:*]
plot for [i = 2:columns] ratios using i:xtic(1) title columnheader(i) linecolor rgb colours[i - 1]
if (system(sprintf("wc -l <'%s'", counts)) + 0 > 0) {
  unset key
  set title "User-space instructions for an echoed message of 6 bytes (shorter is better, logarithmic)"
  set logscale y
  set yrange [10:*]
  set format y "%.0f"
  plot counts using 2:xtic(1) linecolor rgb "#3182bd", counts using 0:2:(sprintf("%.0f", $2)) with labels offset 0, 0.6
}
unset multiplot
