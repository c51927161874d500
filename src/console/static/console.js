// The picture of a case. Everything else of a page works without this file; the same content
// stands in a table beside the picture.
"use strict";

(() => {
  const place = document.getElementById("picture");
  if (!place || typeof cytoscape === "undefined") return;
  const picture = JSON.parse(place.dataset.graph);
  const facts = document.getElementById("facts");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const most = Math.max(1, ...picture.nodes.map((node) => node.money));
  const size = (node) => (node.sort === "member" ? 22 + 26 * Math.sqrt(Math.max(0, node.money) / most) : 20);

  // Where nodes begin is always the same, so that the picture is: members on a ring, what they share within it.
  const begin = (nodes, radius) => nodes.map((node, at) => {
    const angle = (2 * Math.PI * at) / Math.max(1, nodes.length);
    return { node, position: { x: radius * Math.cos(angle), y: radius * Math.sin(angle) } };
  });
  const members = picture.nodes.filter((node) => node.sort !== "identifier");
  const shared = picture.nodes.filter((node) => node.sort === "identifier");
  const reach = 60 + 9 * members.length;
  const elements = [...begin(members, reach), ...begin(shared, reach / 3)].map(({ node, position }) => ({
    group: "nodes", position, classes: `${node.sort} ${node.standing}`,
    data: { id: node.id, label: node.label, facts: node.facts, size: size(node) },
  }));
  picture.links.forEach((link, at) => elements.push({
    group: "edges", classes: `${link.kind} ${link.verified ? "verified" : ""}`,
    data: { id: `l${at}`, source: link.from, target: link.to, facts: link.facts },
  }));

  const style = () => [
    { selector: "node", style: { width: "data(size)", height: "data(size)", label: "data(label)", color: colour("--ink"),
      "font-size": 10, "text-valign": "bottom", "text-margin-y": 3, "background-color": colour("--node-other"), "border-width": 0 } },
    { selector: "node.clear", style: { "background-color": colour("--node-clear") } },
    { selector: "node.watched", style: { "background-color": colour("--node-watched") } },
    { selector: "node.held", style: { "background-color": colour("--node-held") } },
    { selector: "node.barred", style: { "background-color": colour("--node-barred") } },
    { selector: "node.outside", style: { "background-opacity": 0.3 } },
    { selector: "node.identifier", style: { shape: "diamond", color: colour("--soft") } },
    { selector: "edge", style: { width: 1, "line-color": colour("--node-other"), "curve-style": "bezier", "line-style": "dashed", opacity: 0.75 } },
    { selector: "edge.verified", style: { "line-style": "solid", width: 1.6 } },
    { selector: "edge.referral", style: { "target-arrow-shape": "triangle", "target-arrow-color": colour("--accent"), "line-color": colour("--accent"), "line-style": "solid" } },
    { selector: ".near", style: { "border-width": 3, "border-color": colour("--accent"), opacity: 1 } },
    { selector: ".far", style: { opacity: 0.25 } },
  ];
  const drawn = cytoscape({
    container: place, elements, style: style(), userZoomingEnabled: false, minZoom: 0.15, maxZoom: 4,
    layout: elements.length > 900
      ? { name: "preset", fit: true }
      : { name: "cose", animate: false, randomize: false, fit: true, padding: 24, nodeRepulsion: 9000, idealEdgeLength: 70, numIter: 600 },
  });
  const rest = facts.textContent;
  const show = (of) => {
    facts.textContent = of.data("facts");
    if (!of.isNode()) return;
    drawn.elements().addClass("far");
    of.closedNeighborhood().removeClass("far");
    of.addClass("near");
  };
  const hide = () => { facts.textContent = rest; drawn.elements().removeClass("far near"); };
  drawn.on("mouseover tap", "node, edge", (event) => show(event.target));
  drawn.on("mouseout", "node, edge", hide);
  drawn.on("dbltap", "node.member", (event) => {
    window.location.assign(`/console/members/${encodeURIComponent(event.target.data("label"))}`);
  });
  // By buttons and not by the wheel, which scrolls the page.
  const tools = document.getElementById("picture-tools");
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const by = event.target.dataset.zoom;
    if (by === "fit") drawn.fit(undefined, 24);
    else if (by) drawn.zoom({ level: drawn.zoom() * Number(by), renderedPosition: { x: place.clientWidth / 2, y: place.clientHeight / 2 } });
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.style(style()));
})();
