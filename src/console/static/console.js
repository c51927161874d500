// The picture of a case or of who is around a member. Everything else of a page works without this
// file; the same content stands in a table beside the picture.
"use strict";

(() => {
  const place = document.getElementById("picture");
  if (!place || typeof cytoscape === "undefined") return;
  const by = (id) => document.getElementById(id);
  const facts = by("facts"), who = by("picture-who"), expand = by("picture-expand"), open = by("picture-open");
  const picture = JSON.parse(place.dataset.graph);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const most = Math.max(1, ...picture.nodes.map((node) => node.money));
  // Who is brought in later may have more money than anybody before: no node is larger than the largest.
  const size = (node) => (node.sort === "identifier" ? 20 : 22 + 26 * Math.sqrt(Math.min(1, Math.max(0, node.money) / most)));

  const asNode = (node, position) => ({
    group: "nodes", position, classes: `${node.sort} ${node.standing}`,
    data: { id: node.id, label: node.label, facts: node.facts, size: size(node) },
  });
  const asEdge = (link) => ({
    group: "edges", classes: `${link.kind.replace(/[^a-z]/g, "")} ${link.verified ? "verified" : ""}`,
    data: { id: `l:${link.key}`, source: link.from, target: link.to, facts: link.facts },
  });
  // Where nodes begin is always the same, so that the picture is: members on a ring, what they share within it.
  const ring = (nodes, radius, around = { x: 0, y: 0 }) => nodes.map((node, at) => {
    const angle = (2 * Math.PI * at) / Math.max(1, nodes.length);
    return asNode(node, { x: around.x + radius * Math.cos(angle), y: around.y + radius * Math.sin(angle) });
  });
  const members = picture.nodes.filter((node) => node.sort !== "identifier");
  const shared = picture.nodes.filter((node) => node.sort === "identifier");
  const reach = 60 + 9 * members.length;
  const elements = [...ring(members, reach), ...ring(shared, reach / 3), ...picture.links.map(asEdge)];

  const style = () => [
    { selector: "node", style: { width: "data(size)", height: "data(size)", label: "data(label)", color: colour("--ink"),
      "font-size": 10, "text-outline-color": colour("--page"), "text-outline-width": 2, "text-valign": "bottom", "text-margin-y": 3, "background-color": colour("--node-other"), "border-width": 0 } },
    { selector: "node.clear", style: { "background-color": colour("--node-clear") } },
    { selector: "node.watched", style: { "background-color": colour("--node-watched") } },
    { selector: "node.held", style: { "background-color": colour("--node-held") } },
    { selector: "node.barred", style: { "background-color": colour("--node-barred") } },
    { selector: "node.outside", style: { "background-opacity": 0.45 } },
    { selector: "node.identifier", style: { shape: "diamond", color: colour("--soft") } },
    { selector: "node.rest", style: { shape: "round-rectangle", "background-opacity": 0, "text-valign": "center", "text-margin-y": 0, color: colour("--soft") } },
    { selector: "edge", style: { width: 1, "line-color": colour("--node-other"), "curve-style": "bezier", "line-style": "dashed", opacity: 0.75 } },
    { selector: "edge.verified", style: { "line-style": "solid", width: 1.6 } },
    { selector: "edge.referral", style: { "target-arrow-shape": "triangle", "target-arrow-color": colour("--accent"), "line-color": colour("--accent"), "line-style": "solid" } },
    { selector: ".near", style: { "border-width": 3, "border-color": colour("--accent"), opacity: 1 } },
    { selector: ".far", style: { opacity: 0.25 } },
  ];
  const cose = { name: "cose", animate: false, randomize: false, fit: true, padding: 24, nodeRepulsion: 9000, idealEdgeLength: 70, numIter: 600 };
  const ready = elements.length > 900 ? { name: "preset", fit: true } : cose;
  const drawn = cytoscape({
    container: place, elements, style: style(), userZoomingEnabled: false, minZoom: 0.15, maxZoom: 4,
    layout: ready,
  });

  // Of a few nodes a picture that fills its place would shout.
  const fit = () => {
    drawn.fit(undefined, 24);
    if (drawn.zoom() > 1.5) drawn.zoom(1.5);
    drawn.center();
  };
  fit();

  // What is pointed at, and else what was chosen.
  const rest = facts.textContent;
  const show = (of) => {
    facts.textContent = of.data("facts");
    drawn.elements().removeClass("far near");
    if (!of.isNode()) return;
    drawn.elements().addClass("far");
    of.closedNeighborhood().removeClass("far");
    of.addClass("near");
  };
  const chosen = () => drawn.getElementById(who.value);
  const leave = () => {
    if (chosen().nonempty()) return show(chosen());
    facts.textContent = rest;
    drawn.elements().removeClass("far near");
  };

  // By who was expanded: what of the picture is held by them, and the rows of the table.
  const expanded = new Map();
  const choose = (id) => {
    who.value = id;
    const node = chosen();
    expand.disabled = open.hidden = node.empty();
    if (node.empty()) return leave();
    expand.textContent = expanded.has(id) ? "Collapse" : "Expand";
    open.href = `/console/members/${encodeURIComponent(node.data("label"))}`;
    show(node);
  };
  const list = () => {
    table();
    const before = who.value;
    const names = drawn.nodes(".member, .outside").map((node) => [node.id(), node.data("label")]);
    const choice = ([id, label]) => new Option(label, id);
    who.replaceChildren(new Option("choose one", ""), ...names.sort((a, b) => (a[1] < b[1] ? -1 : 1)).map(choice));
    who.value = drawn.getElementById(before).nonempty() ? before : "";
    by("tie-count").textContent = document.querySelectorAll("#ties tr[data-link]").length;
  };

  // The rows of what was brought in, each link once.
  const table = () => {
    document.querySelectorAll("#ties tbody.more").forEach((rows) => rows.remove());
    const known = new Set([...document.querySelectorAll("#ties tr[data-link]")].map((row) => row.dataset.link));
    for (const { rows } of expanded.values()) {
      const body = document.createElement("tbody");
      body.className = "more";
      body.append(...rows.filter((row) => !known.has(row.dataset.link)));
      rows.forEach((row) => known.add(row.dataset.link));
      by("ties").append(body);
    }
  };
  // What stays is what was there at first and what is held by somebody expanded who stays.
  const first = elements.map((one) => one.data.id);
  const collapse = (id) => {
    expanded.delete(id);
    const live = new Set(first);
    for (let before = 0; before < live.size;) {
      before = live.size;
      for (const [center, { ids }] of expanded) if (live.has(center)) ids.forEach((one) => live.add(one));
    }
    for (const center of [...expanded.keys()]) if (!live.has(center)) expanded.delete(center);
    drawn.elements().filter((one) => !live.has(one.id())).remove();
  };
  const add = (id, found, rows) => {
    const from = drawn.getElementById(id), there = (one) => drawn.getElementById(one).nonempty();
    const wanted = found.nodes.filter((node) => !there(node.id));
    // One place is for what says how many are not drawn.
    const nodes = wanted.slice(0, Math.max(0, picture.most - drawn.nodes().length - 1));
    const more = found.more + wanted.length - nodes.length;
    drawn.nodes().lock();
    drawn.add(ring(nodes, 90, from.position()));
    drawn.add(found.links.filter((link) => !there(`l:${link.key}`) && there(link.from) && there(link.to)).map(asEdge));
    const ids = [...found.nodes.map((node) => node.id), ...found.links.map((link) => `l:${link.key}`)].filter(there);
    if (more > 0 && drawn.nodes().length < picture.most) {
      const last = `r:${id}`, said = `${more} more around ${from.data("label")} are not drawn`;
      drawn.add(ring([{ id: last, label: `and ${more} more`, sort: "rest", standing: "", money: 0, facts: said }], 60, from.position()));
      drawn.add(asEdge({ key: last, from: id, to: last, kind: "rest", verified: false, facts: said }));
      ids.push(last, `l:${last}`);
    }
    if (drawn.elements().length <= 900) drawn.layout(cose).run();
    drawn.nodes().unlock();
    fit();
    expanded.set(id, { ids, rows });
    return { count: nodes.filter((node) => node.sort !== "identifier").length, more };
  };
  let busy = false;
  const toggle = async () => {
    const node = chosen(), id = who.value;
    if (busy || node.empty()) return;
    if (expanded.has(id)) {
      collapse(id);
      list();
      fit();
      return choose(id);
    }
    // Not disabled meanwhile: that would take the focus away.
    busy = true;
    try {
      const answer = await fetch(`/console/members/${encodeURIComponent(node.data("label"))}/around`, { headers: { "hx-request": "true" } });
      const part = document.createElement("template");
      part.innerHTML = await answer.text();
      const body = part.content.querySelector("tbody[data-graph]");
      if (!body) throw new Error(part.content.querySelector(".faults")?.textContent.trim() || "Load the page again: nobody is signed in any more.");
      const { count, more } = add(id, JSON.parse(body.dataset.graph), [...body.rows]);
      list();
      choose(id);
      facts.textContent = `${node.data("facts")}. ${count} more ${count === 1 ? "member is" : "members are"} around them${more ? `, ${more} further ones not drawn` : ""}.`;
    } catch (error) {
      facts.textContent = error.message;
    } finally {
      busy = false;
    }
  };

  drawn.on("mouseover", "node, edge", (event) => show(event.target));
  drawn.on("mouseout", "node, edge", leave);
  drawn.on("tap", (event) => (event.target === drawn ? choose("") : event.target.isNode() ? choose(event.target.id()) : show(event.target)));
  drawn.on("dbltap", "node.member, node.outside", (event) => {
    window.location.assign(`/console/members/${encodeURIComponent(event.target.data("label"))}`);
  });
  who.addEventListener("change", () => choose(who.value));
  expand.addEventListener("click", toggle);
  // By buttons and not by the wheel, which scrolls the page.
  const tools = by("picture-tools");
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const factor = event.target.dataset.zoom;
    if (factor === "fit") fit();
    else if (factor) drawn.zoom({ level: drawn.zoom() * Number(factor), renderedPosition: { x: place.clientWidth / 2, y: place.clientHeight / 2 } });
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.style(style()));
  list();
  choose("");
})();
