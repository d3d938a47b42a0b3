(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== null && value !== undefined && value !== false && value !== "") made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };

  // --- numbers ---------------------------------------------------------------------------------------

  // As in the files and the other tables: the nearest number with so many decimals, ties to the even digit.
  const decimal = (value, decimals, signed = false) => {
    if (value === null) return data.missing;
    const size = Math.abs(value);
    let text = size.toFixed(decimals);
    const tie = (size * 2 ** (decimals + 1)) % 2 === 1;
    if (tie && Number(text.at(-1)) % 2) text = (size - 0.6 * 10 ** -decimals).toFixed(decimals);
    const zero = Number(text) === 0;
    return (value < 0 && !zero ? data.minus : signed && !zero ? "+" : "") + text;
  };
  // Null where a number is missing, undefined where there is nothing to average.
  const average = (numbers) =>
    !numbers.length ? undefined : numbers.includes(null) ? null : numbers.reduce((a, b) => a + b, 0) / numbers.length;
  // Numbers by size, those that are missing last in both directions; equals keep their order.
  const ordered = (items, key, descending) => {
    const keyed = items.map((item) => [key(item) ?? null, item]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
      return descending ? -order : order;
    });
    return keyed.map(([, item]) => item);
  };

  // --- the matrix ------------------------------------------------------------------------------------

  const explorer = () => {
    const matrices = new Map(data.matrices.map((m) => [m.name, { ...m, statistics: new Map(m.statistics), files: new Map(m.files) }]));
    const runs = new Map(data.runs);
    const languages = new Map(data.languages);
    const table = byId("matrix");
    const panel = byId("place");
    // Names of averages: of zero-shot places, and of the others. Languages are texts.
    const [ZERO_SHOT, IN_LANGUAGE] = data.margins.map((name) => Symbol(name));
    const marginNames = new Map([ZERO_SHOT, IN_LANGUAGE].map((margin) => [margin.description, margin]));
    const isMargin = (name) => typeof name === "symbol";
    const state = { matrix: data.matrices[0].name, category: "", show: "mean", zeroShot: false, rows: null, columns: null };
    let index = { rows: [], columns: [] };
    let held = null;
    let current = [1, 1]; // the place that the tab key comes to: row and column of the grid
    let grid = [];

    const matrix = () => matrices.get(state.matrix);
    const available = (m) => [...m.statistics.values()].some((frames) => frames.difference);
    const settle = () => {
      const m = matrix();
      if (!m.statistics.has(state.category)) state.category = [...m.statistics.keys()][0];
      if (state.show === "difference" && !available(m)) state.show = "mean";
      for (const [axis, names] of [["rows", m.targets], ["columns", m.rows]]) {
        const by = state[axis];
        if (by && !isMargin(by.name) && !names.includes(by.name)) state[axis] = null;
      }
    };

    // The address of a view: every switch, and what the rows and columns are sorted by.
    const ASCENDING = ":ascending";
    const written = (by) => (isMargin(by.name) ? by.name.description : by.name) + (by.descending ? "" : ASCENDING);
    const read = (text, names) => {
      if (text === null) return null;
      const name = text.endsWith(ASCENDING) ? text.slice(0, -ASCENDING.length) : text;
      if (!names.includes(name) && !marginNames.has(name)) return null;
      return { name: names.includes(name) ? name : marginNames.get(name), descending: name === text };
    };
    const toHash = () => {
      const parts = new URLSearchParams({ matrix: state.matrix, category: state.category, show: state.show });
      if (state.zeroShot) parts.set("places", "zero-shot");
      if (state.rows) parts.set("rows", written(state.rows));
      if (state.columns) parts.set("columns", written(state.columns));
      try {
        history.replaceState(null, "", "#" + parts);
      } catch { /* a page without an address of its own, as in a sandboxed frame */ }
    };
    const fromHash = () => {
      if (!location.hash.includes("=")) return false;
      const parts = new URLSearchParams(location.hash.slice(1));
      if (matrices.has(parts.get("matrix"))) state.matrix = parts.get("matrix");
      const m = matrix();
      state.category = parts.get("category") ?? "";
      state.show = ["mean", "sd", "difference"].includes(parts.get("show")) ? parts.get("show") : "mean";
      state.zeroShot = parts.get("places") === "zero-shot";
      state.rows = read(parts.get("rows"), m.targets);
      state.columns = read(parts.get("columns"), m.rows);
      return true;
    };

    const frames = () => matrix().statistics.get(state.category);
    const value = (name, i, j) => frames()[name]?.[i]?.[j] ?? null;
    const halfOf = (i, j) => {
      const [low, high] = [value("low", i, j), value("high", i, j)];
      return low === null || high === null ? null : (high - low) / 2;
    };
    const isOwn = (i, j) => matrix().own[i].includes(matrix().targets[j]);
    const isAdapted = (i, j) => !isOwn(i, j) && matrix().adapted[i].includes(matrix().targets[j]);
    const isWithout = (j) => frames().without?.includes(j);
    const isOut = (i, j) => isWithout(j) || (state.zeroShot && isOwn(i, j)) || (state.show === "difference" && matrix().is_reference[i]);
    const inside = (pairs, margin) => average(pairs.filter(([i, j]) => !isOut(i, j) && isOwn(i, j) === (margin === IN_LANGUAGE))
      .map(([i, j]) => value(state.show, i, j)));

    // Indices of rows and targets as they are shown, and the averages of each.
    const view = () => {
      const m = matrix();
      const all = { rows: [...m.rows.keys()], columns: [...m.targets.keys()] };
      const places = all.rows.flatMap((i) => all.columns.map((j) => [i, j]));
      const margins = [ZERO_SHOT, IN_LANGUAGE].filter((margin) => (margin === ZERO_SHOT || !state.zeroShot) &&
        places.some(([i, j]) => isOwn(i, j) === (margin === IN_LANGUAGE) && value("mean", i, j) !== null));
      const rowAverages = new Map(margins.map((margin) =>
        [margin, all.rows.map((i) => inside(all.columns.map((j) => [i, j]), margin))]));
      const columnAverages = margins.includes(ZERO_SHOT) ? all.columns.map((j) => inside(all.rows.map((i) => [i, j]), ZERO_SHOT)) : null;
      const key = { rows: null, columns: null };
      if (state.rows) {
        const j = m.targets.indexOf(state.rows.name);
        key.rows = (i) => (j < 0 ? rowAverages.get(state.rows.name)?.[i] : isOut(i, j) ? null : value(state.show, i, j));
      }
      if (state.columns) {
        const i = m.rows.indexOf(state.columns.name);
        key.columns = (j) => (i < 0 ? columnAverages?.[j] : isOut(i, j) ? null : value(state.show, i, j));
      }
      const [rows, columns] = ["rows", "columns"].map((axis) =>
        key[axis] ? ordered(all[axis], key[axis], state[axis].descending) : all[axis]);
      const corner = margins.map((margin) => inside(places, margin));
      return { rows, columns, rowAverages, columnAverages, corner };
    };

    const colour = (number) => {
      const { low, high } = data.scales[state.show];
      const step = Math.floor(((number - low) / (high - low)) * data.steps);
      return state.show + Math.min(data.steps - 1, Math.max(0, step));
    };
    const signed = () => state.show === "difference";

    const leftOut = (margin = "") => element("td", { class: "out" + margin, "aria-label": "left out" }, "·");
    const bodyPlace = (i, j, dense, most) => {
      const number = value(state.show, i, j);
      const own = isOwn(i, j) ? " own" : isAdapted(i, j) ? " adapted" : "";
      if (isOut(i, j)) return leftOut();
      if (number === null) return element("td", { class: "missing" + own }, data.missing);
      const place = element("td", { class: colour(number) + own }, decimal(number, dense ? 0 : 1, signed()));
      if (!dense && state.show === "mean") {
        const half = halfOf(i, j);
        const n = value("n", i, j);
        const few = n !== null && n < most ? `n=${n}` : "";
        const note = [half === null ? "" : `± ${decimal(half, 1)}`, few].filter(Boolean).join(" ");
        if (note) place.append(element("small", {}, note));
      }
      return place;
    };
    const head = (axis, name, scope) => {
      const by = state[axis];
      const sorted = by && by.name === name;
      const text = isMargin(name) ? name.description : name;
      const full = isMargin(name) ? "" : languages.get(name);
      const what = axis === "rows" ? "rows" : "columns";
      const button = element("button", { type: "button", class: "sort", tabindex: "-1", title: `${full ? full + ": " : ""}sort the ${what} by ${text}` }, text);
      button.addEventListener("click", () => {
        const next = !sorted ? { name, descending: true } : by.descending ? { name, descending: false } : null;
        change({ [axis]: next });
      });
      return element("th", {
        scope, class: isMargin(name) ? "margin" : null,
        "aria-sort": sorted ? (by.descending ? "descending" : "ascending") : null,
      }, button);
    };

    const draw = () => {
      const m = matrix();
      const { rows, columns, rowAverages, columnAverages, corner } = view();
      const dense = Math.max(rows.length, columns.length) > data.dense_above;
      const longest = Math.max(...m.targets.map((name) => name.length));
      const most = Math.max(0, ...(frames().n ?? []).flat().filter((n) => n !== null));
      const margin = (number) => number === undefined ? leftOut(" margin") :
        element("td", { class: number === null ? "margin missing" : "margin" }, decimal(number, dense ? 0 : 1, signed()));

      const focused = table.contains(document.activeElement);
      const tops = [...columns.map((j) => head("rows", m.targets[j], "col")), ...[...rowAverages.keys()].map((margin) => head("rows", margin, "col"))];
      const cornerHead = element("th", { scope: "col", class: "corner" }, `${m.row_name} → target`);
      const lines = rows.map((i) => [
        head("columns", m.rows[i], "row"), ...columns.map((j) => bodyPlace(i, j, dense, most)),
        ...[...rowAverages.values()].map((averages) => margin(averages[i])),
      ]);
      if (columnAverages) {
        lines.push([head("columns", ZERO_SHOT, "row"), ...columns.map((j) => margin(columnAverages[j])), ...corner.map(margin)]);
      }
      const names = { mean: "mean F1 in percent", sd: "sd of F1 over seeds, in points",
        difference: `mean F1 minus ${data.reference}, in points` };
      const told = `${state.category}, ${names[state.show]}${state.zeroShot ? ", zero-shot only" : ""}`;
      table.className = "matrix" + (dense ? " dense" : "") + (longest > (dense ? 4 : 7) ? " turned" : "");
      table.style.setProperty("--columns", columns.length + rowAverages.size);
      table.setAttribute("role", "grid");
      table.replaceChildren(
        element("caption", { class: "hidden" }, `${m.title}: ${told}`),
        element("thead", {}, element("tr", {}, cornerHead, ...tops)),
        element("tbody", {}, ...lines.map((line, r) => element("tr", { class: r === rows.length ? "margin" : null }, ...line))),
      );
      byId("shown").replaceChildren(element("b", {}, element("bdi", {}, m.title)), " ", element("span", {}, told));
      const scale = data.scales[state.show];
      const clipped = scale.clipped;
      byId("scale-low").textContent = (clipped && signed() ? "≤ " : "") + decimal(scale.low, 0, signed());
      byId("scale-high").textContent = (clipped ? "≥ " : "") + decimal(scale.high, 0, signed());
      byId("ramp").className = "ramp-" + state.show;
      byId("matrix-file").href = m.files.get(state.category)[state.show === "mean" && state.zeroShot ? "zero-shot" : state.show];
      byId("restore").hidden = !state.rows && !state.columns;
      byId("zero-shot").checked = state.zeroShot;
      for (const control of document.querySelectorAll("[data-switch]")) {
        const name = control.dataset.switch;
        if (control.tagName === "SELECT") control.value = state[name];
        for (const option of control.children) {
          if (control.tagName !== "SELECT") option.setAttribute("aria-pressed", String(option.value === state[name]));
          if (name === "category") option.hidden = option.disabled = !m.statistics.has(option.value);
          if (option.value === "difference" && name === "show") option.hidden = !available(m);
        }
      }
      // what the keyboard walks over: heads are their buttons
      grid = [[null, ...tops.map((th) => th.firstChild)], ...lines.map(([th, ...tds]) => [th.firstChild, ...tds])];
      index = { rows: [...rows, null], columns: [...columns, ...[...rowAverages.keys()].map(() => null)] };
      current = [Math.min(current[0], grid.length - 1), Math.min(current[1], grid[0].length - 1)];
      grid.forEach((line, r) => line.forEach((cell, c) => {
        if (!cell) return;
        cell.tabIndex = -1;
        cell.dataset.at = `${r} ${c}`;
      }));
      if (focused) focusAt(...current);
      else grid[current[0]][current[1]].tabIndex = 0;
      hold(null);
    };

    // --- one place ---

    const named = (name) => (languages.has(name) && languages.get(name) !== name ? languages.get(name) : "");
    const fact = (label, ...content) => element("span", {}, element("span", {}, label), ...content);
    const runLinks = (configuration) =>
      (runs.get(configuration) ?? []).flatMap(([seed, run]) => [" ", data.run_url
        ? element("a", { href: data.run_url + encodeURIComponent(run), rel: "noreferrer", title: `run ${run}` }, `seed ${seed}`)
        : element("span", {}, `seed ${seed} `, element("code", {}, run))]);

    const describe = (r, c) => {
      const m = matrix();
      const [i, j] = [index.rows[r - 1], index.columns[c - 1]];
      const rowName = i === null ? null : m.rows[i];
      const target = j === null ? null : m.targets[j];
      const which = element("p", { class: "which" });
      const facts = element("p", { class: "facts" });
      if (rowName === null || target === null) {
        const over = rowName !== null ? `over the targets of ${rowName}` : target !== null ? `over the rows of ${target}` : "over all places";
        const kind = grid[0][c].closest("th").classList.contains("margin") ? grid[0][c].textContent : ZERO_SHOT.description;
        which.append(element("b", {}, `average, ${kind}`), element("span", {}, element("bdi", {}, over)));
        facts.append(fact(state.show, grid[r][c].textContent));
        return [which, facts];
      }
      which.append(element("b", {}, element("bdi", {}, rowName), " → ", element("bdi", {}, target)));
      if (named(rowName) || named(target)) {
        which.append(element("span", {}, element("bdi", {}, named(rowName) || rowName), " → ", element("bdi", {}, named(target) || target)));
      }
      which.append(element("span", {}, isOwn(i, j) ? "in-language" : isAdapted(i, j) ? "zero-shot, start adapted to the target" : "zero-shot"));
      if (isWithout(j)) {
        facts.append(fact("F1", "left out: the target has no entity of this category"));
        return [which, facts];
      }
      const [mean, sd, n, low, high, gap] = ["mean", "sd", "n", "low", "high", "difference"].map((name) => value(name, i, j));
      facts.append(fact("F1", element("b", {}, decimal(mean, 1))));
      if (n !== null) facts.append(fact("n", `${n} ${n === 1 ? "seed" : "seeds"}`));
      if (low !== null && high !== null) facts.append(fact(`${data.confidence} % interval`, `${decimal(low, 1)} to ${decimal(high, 1)}`));
      if (sd !== null) facts.append(fact("sd over seeds", decimal(sd, 1)));
      if (gap !== null) facts.append(fact(`minus ${data.reference}`, `${decimal(gap, 1, true)} points`));
      if (m.configurations[i] !== null) {
        const links = runLinks(m.configurations[i]);
        facts.append(fact("runs of", element("bdi", {}, m.configurations[i]), ...(links.length ? links : [" none"])));
      }
      return [which, facts];
    };
    const light = (r, c) => {
      for (const th of table.querySelectorAll(".lit")) th.classList.remove("lit");
      for (const cell of r === null ? [] : [grid[r][0], grid[0][c]]) cell.closest("th").classList.add("lit");
    };
    const show = (r, c) => {
      panel.classList.remove("idle");
      panel.replaceChildren(...describe(r, c));
      light(r, c);
    };
    const hold = (at) => {
      table.querySelector(".held")?.classList.remove("held");
      held = at;
      panel.classList.toggle("held", Boolean(at));
      if (at) {
        grid[at[0]][at[1]].classList.add("held");
        show(...at);
        const close = element("button", { type: "button", class: "close", "aria-label": "let go of this place" }, "×");
        close.addEventListener("click", () => {
          grid[at[0]][at[1]].focus({ preventScroll: true });
          hold(null);
        });
        panel.append(close);
      } else {
        light(null);
        panel.classList.add("idle");
        panel.replaceChildren(element("p", { class: "hint" },
          "Point at a place, or walk there with the arrow keys, for its numbers and runs. A click or a tap holds it."));
      }
    };
    const placeOf = (node) => {
      const cell = node.closest?.("[data-at]");
      return cell && table.contains(cell) ? cell.dataset.at.split(" ").map(Number) : null;
    };
    const isBody = (at) => at && at[0] > 0 && at[1] > 0;
    const focusAt = (r, c) => {
      grid[current[0]]?.[current[1]]?.setAttribute("tabindex", "-1");
      current = [r, c];
      grid[r][c].tabIndex = 0;
      grid[r][c].focus();
    };

    table.addEventListener("pointerover", (event) => {
      const at = placeOf(event.target);
      if (!held && event.pointerType === "mouse" && isBody(at)) show(...at);
    });
    table.addEventListener("focusin", (event) => {
      const at = placeOf(event.target);
      if (!at) return;
      grid[current[0]]?.[current[1]]?.setAttribute("tabindex", "-1");
      current = at;
      event.target.tabIndex = 0;
      if (held && String(held) !== String(at)) hold(null);
      if (isBody(at) && !held) show(...at);
    });
    table.addEventListener("click", (event) => {
      const at = placeOf(event.target);
      if (!isBody(at)) return;
      const again = held && String(held) === String(at);
      focusAt(...at);
      hold(again ? null : at);
    });
    table.addEventListener("keydown", (event) => {
      const at = placeOf(event.target);
      if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
      const [r, c] = at;
      const [bottom, right] = [grid.length - 1, grid[0].length - 1];
      const next = {
        ArrowUp: [Math.max(c ? 0 : 1, r - 1), c], ArrowDown: [Math.min(bottom, r + 1), c],
        ArrowLeft: [r, Math.max(r ? 0 : 1, c - 1)], ArrowRight: [r, Math.min(right, c + 1)],
        Home: [r, r ? 0 : 1], End: [r, right],
      }[event.key];
      if (next) focusAt(...next);
      else if ((event.key === "Enter" || event.key === " ") && isBody(at)) hold(held ? null : at);
      else return;
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && held) hold(null);
    });

    // --- switches ---

    const change = (changes) => {
      Object.assign(state, changes);
      settle();
      draw();
      toHash();
    };
    for (const control of document.querySelectorAll("[data-switch]")) {
      const name = control.dataset.switch;
      if (control.tagName === "SELECT") control.addEventListener("change", () => change({ [name]: control.value }));
      else control.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) change({ [name]: button.value });
      });
    }
    byId("zero-shot").addEventListener("change", (event) => change({ zeroShot: event.target.checked }));
    byId("restore").addEventListener("click", () => change({ rows: null, columns: null }));
    const follow = () => {
      const linked = fromHash();
      settle();
      draw();
      if (linked) byId("matrices").scrollIntoView({ behavior: "instant" });
    };
    addEventListener("hashchange", () => { if (location.hash.includes("=")) follow(); });
    follow();
  };

  // --- listings --------------------------------------------------------------------------------------

  const listing = (box) => {
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const texts = new Map();
    const long = original.length > data.long_above;
    let rows = original;
    let open = !long;
    let words = [];

    const text = (row) => {
      if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
      return texts.get(row);
    };
    const update = () => {
      let matched = 0;
      for (const row of rows) {
        const fits = words.every((word) => text(row).includes(word));
        matched += fits;
        row.classList.toggle("unmatched", !fits);
        row.classList.toggle("more", fits && !open && matched > data.long_above);
      }
      box.classList.toggle("open", long && open);
      if (!tools) return;
      const seen = open ? matched : Math.min(matched, data.long_above);
      tools.status.textContent = `${seen} of ${matched} rows${words.length ? ` that match, ${original.length} in all` : ""}`;
      tools.more.hidden = matched <= data.long_above;
      tools.more.textContent = open ? `show ${data.long_above}` : `show all ${matched}`;
    };

    const key = (column) => {
      const kind = heads[column].dataset.kind;
      return (row) => {
        const cell = row.cells[column];
        if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
        const shown = cell.textContent.trim();
        return shown === data.missing ? null : kind === "runs" ? cell.childElementCount : shown;
      };
    };
    heads.forEach((th, column) => {
      if (!original.length || original[0].cells.length !== heads.length) return;
      const up = ["text", "p"].includes(th.dataset.kind) ? "ascending" : "descending";
      const down = up === "ascending" ? "descending" : "ascending";
      const button = element("button", { type: "button", class: "sort" }, ...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const was = th.getAttribute("aria-sort");
        const now = was === up ? down : was === down ? null : up;
        for (const other of heads) other.removeAttribute("aria-sort");
        if (now) th.setAttribute("aria-sort", now);
        rows = now ? ordered(original, key(column), now === "descending") : original;
        body.append(...rows);
        update();
      });
    });

    let tools = null;
    if (long) {
      const filter = element("input", { type: "search", placeholder: "filter rows", "aria-label": "filter rows", autocomplete: "off" });
      const status = element("span", { role: "status" });
      const more = element("button", { type: "button", class: "plain" });
      tools = { status, more };
      filter.addEventListener("input", () => {
        words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        update();
      });
      more.addEventListener("click", () => {
        open = !open;
        update();
      });
      box.querySelector(".scroll").before(element("div", { class: "tools" }, filter, status));
      box.querySelector(".scroll").after(element("div", { class: "tools" }, more));
    }
    update();
  };

  // --- the page --------------------------------------------------------------------------------------

  const navigation = () => {
    const links = new Map([...document.querySelectorAll('nav a[href^="#"]:not(.study)')].map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
    const sections = [...document.querySelectorAll("main > section")].filter((section) => links.has(section.id));
    const strip = document.querySelector("nav");
    const mark = () => {
      const reached = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3).at(-1);
      const link = links.get(reached?.id);
      if (link?.hasAttribute("aria-current")) return;
      for (const other of links.values()) other.removeAttribute("aria-current");
      if (!link) return;
      link.setAttribute("aria-current", "true");
      strip.scrollTo({ left: link.offsetLeft - strip.clientWidth / 3, top: link.offsetTop - strip.clientHeight / 2, behavior: "instant" });
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        mark();
      });
    }, { passive: true });
    mark();
  };

  const folded = new Set();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      folded.add(details);
      details.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    folded.clear();
  });

  for (const box of document.querySelectorAll(".listing")) listing(box);
  if (data.matrices?.length) explorer();
  navigation();
  document.documentElement.dataset.ready = "true";
})();
