(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("errors").textContent);
  const byId = (id) => document.getElementById(id);
  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const STEP = 50;
  const AROUND = 20; // words of a long sentence on either side
  const chosen = { start: "", source: "", seed: "", kind: "", category: "", words: "" };
  let limit = STEP;

  const place = ([sentence, first, words]) => [sentence, first, first + words];
  const entityWords = (i) => {
    const [sentence, first, end] = place(data.entities[i]);
    return data.sentences[sentence].slice(first, end).join(" ");
  };
  const sentenceOf = ([gold, predicted]) => data.entities[gold >= 0 ? gold : predicted][0];
  const texts = data.sentences.map((words) => words.join(" ").toLowerCase());

  // --- filters ---

  const matches = ([start, source, seed]) =>
    (chosen.start === "" || start === Number(chosen.start)) &&
    (chosen.source === "" || source === Number(chosen.source)) &&
    (chosen.seed === "" || seed === Number(chosen.seed));
  const hasCategory = (entry) =>
    chosen.category === "" || [entry[0], entry[1]].some((i) => i >= 0 && data.entities[i][3] === Number(chosen.category));

  const select = (name, label, options) => {
    const control = element("select", { autocomplete: "off", "data-filter": name }, element("option", { value: "" }, "all"),
      ...options.map(([value, text]) => element("option", { value }, text)));
    control.addEventListener("change", () => change(name, control.value));
    return element("label", { class: "switch" }, element("span", { class: "label" }, label), control);
  };
  const numbered = (names) => names.map((name, i) => [i, name]);
  const seeds = [...new Set(data.cells.map(([, , seed]) => seed))].sort((a, b) => a - b);
  const search = element("input", { type: "search", placeholder: "words of the sentence", "aria-label": "words of the sentence", autocomplete: "off" });
  search.addEventListener("input", () => change("words", search.value.toLowerCase()));
  byId("filters").append(
    select("start", "start", numbered(data.starts)), select("source", "source", numbered(data.sources)),
    select("seed", "seed", seeds.map((seed) => [seed, seed])),
    select("kind", "kind", numbered(data.kinds).filter(([, kind]) => kind !== "correct")),
    select("category", "category", numbered(data.categories)),
    element("span", { class: "tools" }, search),
  );

  // --- one error ---

  const marked = (entry) => {
    const [gold, predicted] = entry.slice(0, 2).map((i) => (i >= 0 ? place(data.entities[i]).slice(1) : null));
    const words = data.sentences[sentenceOf(entry)];
    const spans = [gold, predicted].filter(Boolean);
    const low = Math.max(0, Math.min(...spans.map(([first]) => first)) - AROUND);
    const high = Math.min(words.length, Math.max(...spans.map(([, end]) => end)) + AROUND);
    const inside = (span, i) => Boolean(span) && span[0] <= i && i < span[1];
    const line = element("p", { class: "sentence", dir: "auto" }, low > 0 ? "… " : "");
    for (let i = low; i < high;) {
      const [inGold, inPredicted] = [inside(gold, i), inside(predicted, i)];
      let end = i + 1;
      while (end < high && inside(gold, end) === inGold && inside(predicted, end) === inPredicted) end += 1;
      const text = words.slice(i, end).join(" ");
      const classes = [inGold && "gold", inPredicted && "predicted"].filter(Boolean).join(" ");
      line.append(classes ? element("mark", { class: classes }, text) : text, end < high ? " " : "");
      i = end;
    }
    if (high < words.length) line.append(" …");
    return line;
  };
  const side = (label, i) => i < 0
    ? element("span", {}, `${label}: none`)
    : element("span", {}, `${label}: `, element("b", {}, element("bdi", {}, entityWords(i))), ` ${data.categories[data.entities[i][3]]}`);
  const models = (cells) => {
    const bySource = new Map();
    for (const cell of cells) {
      const [start, source, seed] = data.cells[cell];
      const name = `${data.starts[start]}-${data.sources[source]}`;
      bySource.set(name, [...(bySource.get(name) ?? []), seed]);
    }
    return [...bySource].map(([name, found]) => `${name} (${found.length === 1 ? "seed" : "seeds"} ${found.join(", ")})`).join("; ");
  };
  const item = ([entry, cells], among) => {
    const which = element("details", {}, element("summary", {}, `${cells.length} of ${among} models`));
    which.addEventListener("toggle", () => {
      if (which.open && which.childElementCount === 1) which.append(element("p", { class: "aside" }, models(cells)));
    });
    return element("li", {}, element("div", { class: "what" }, element("span", { class: "badge" }, data.kinds[entry[2]]),
      side("gold", entry[0]), side("predicted", entry[1])), marked(entry), which);
  };

  // --- the list ---

  const draw = () => {
    const allowed = data.cells.map(matches);
    const among = allowed.filter(Boolean).length;
    const words = chosen.words.split(/\s+/).filter(Boolean);
    const found = [];
    for (const entry of data.wrong) {
      if (chosen.kind !== "" && entry[2] !== Number(chosen.kind)) continue;
      if (!hasCategory(entry) || !words.every((word) => texts[sentenceOf(entry)].includes(word))) continue;
      const cells = entry[3].filter((cell) => allowed[cell]);
      if (cells.length) found.push([entry, cells]);
    }
    found.sort(([, a], [, b]) => b.length - a.length); // stable: equals stay in the order of their places
    const total = found.reduce((sum, [, cells]) => sum + cells.length, 0);
    const mean = among ? (total / among).toFixed(1) : "0";
    byId("told").textContent = `${total.toLocaleString("en")} errors in ${among} ${among === 1 ? "model" : "models"}, ` +
      `${mean} a model, ${found.length.toLocaleString("en")} distinct; ${Math.min(limit, found.length).toLocaleString("en")} shown`;
    byId("wrong").replaceChildren(...found.slice(0, limit).map((one) => item(one, among)));
    byId("more").hidden = found.length <= limit;
  };
  const change = (name, value) => {
    chosen[name] = value;
    limit = STEP;
    draw();
  };
  byId("more").addEventListener("click", () => {
    limit += STEP;
    draw();
  });
  draw();
})();
