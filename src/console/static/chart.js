// Curves of a page. The same content stands in a table below each of them.
"use strict";

(() => {
  if (typeof uPlot === "undefined") return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = (place) => {
    const said = JSON.parse(place.dataset.chart);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui" };
    const date = (seconds) => new Date(seconds * 1e3).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    const strokes = [colour("--accent"), colour("--warn")];
    const series = said.series.map((one, at) => ({
      label: one.label, stroke: strokes[at], fill: at === 0 ? `${strokes[0]}22` : undefined, width: 1.5,
      scale: one.scale, points: { show: said.days.length < 3 }, value: (_, value) => (value === null ? "–" : value.toFixed(said.decimals)),
    }));
    // Both axes begin at nothing, so that the curves can be compared; below it only where more came back than was given.
    const from = (_, low, high) => uPlot.rangeNum(Math.min(0, low), Math.max(high, 1), 0.1, true).map((end, at) => (at === 0 && low >= 0 ? 0 : end));
    const scales = Object.fromEntries(said.series.map((one) => [one.scale, { range: from }]));
    const chart = new uPlot({
      scales,
      width: place.clientWidth, height: 220, cursor: { drag: { x: false, y: false } },
      series: [{ label: "Day", value: (_, seconds) => (seconds === null ? "–" : date(seconds)) }, ...series],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
      axes: [{ ...axis, values: (_, splits) => splits.map(date) }, { ...axis, size: 70, scale: said.series[0].scale }, { ...axis, size: 70, side: 1, grid: { show: false }, scale: said.series[1].scale }],
    }, [said.days, ...said.series.map((one) => one.values)], place);
    return chart;
  };
  for (const place of document.querySelectorAll("[data-chart]")) {
    let chart = draw(place);
    window.addEventListener("resize", () => chart.setSize({ width: place.clientWidth, height: 220 }));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { chart.destroy(); chart = draw(place); });
  }
})();
