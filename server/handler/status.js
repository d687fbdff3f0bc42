"use strict";
/* The live part of the status page: asks for ?json each second, keeps the last five minutes, plots them. Without it the page is whole. */
(() => {
	const KEEP = 300, LEAST = 60, EVERY = 1000, GIVE_UP = 10000, SVG = "http://www.w3.org/2000/svg";
	const HEIGHT = 150, LEFT = 56, RIGHT = 8, TOP = 8, BOTTOM = 20;
	const byId = (id) => document.getElementById(id);
	const state = byId("live-state"), started = byId("uptime").textContent.replace(/^.*?,/, ",");
	const samples = [];                     /* {at, values: one list for each plot} */
	let before = null, hover = -1, paused = false;

	const say = (text, bad) => {
		if (state.textContent !== text)         /* else it would be read out each second */
			state.textContent = text;
		state.className = bad ? "bad" : "soft";
	};

	/* ---------------------------------------------------------------- numbers as texts */

	const short = (n) => {
		const units = ["", "k", "M", "G", "T"];
		let i = 0;
		for (; Math.abs(n) >= 1000 && i < units.length - 1; i++)
			n /= 1000;
		return parseFloat(n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)) + units[i];
	};
	const amount = (n) => {
		const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
		let i = 0;
		for (; n >= 1000 && i < units.length - 1; i++)
			n /= 1024;
		return parseFloat(i === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)) + " " + units[i];
	};
	const millis = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)) + " ms";
	const percent = (n) => parseFloat(n.toFixed(1)) + " %";
	const span = (s) => s < 120 ? s.toFixed(0) + " s" : parseFloat((s / 60).toFixed(1)) + " min";

	/* ---------------------------------------------------------------- what is plotted: null = there is nothing to tell of that second */

	/* The value that `part` of what came between two answers did not exceed, in ms; within its bucket by proportion. */
	const quantile = (was, now, part) => {
		const counts = now.latency.counts.map((n, i) => Math.max(0, n - was.latency.counts[i]));
		const all = counts.reduce((a, b) => a + b, 0);
		let left = all * part;
		if (!all)
			return null;
		for (let i = 0; i < counts.length; i++) {
			const from = i ? now.latency.below_us[i - 1] : 0, to = now.latency.below_us[i] || from;
			if (counts[i] && left <= counts[i])
				return (from + (to - from) * left / counts[i]) / 1000;
			left -= counts[i];
		}
		return null;
	};
	const rate = (was, now, seconds, of) => Math.max(0, of(now) - of(was)) / seconds;
	const crashes = (s) => s.crashes.reduce((sum, c) => sum + c.crashes, 0);
	const resumed = (was, now) => {
		const all = now.tls.handshakes - was.tls.handshakes;
		return all > 0 ? 100 * Math.min(1, Math.max(0, now.tls.resumed - was.tls.resumed) / all) : null;
	};
	const plots = [
		{ title: "Requests a second", text: short, lines: [["requests", (w, n, t) => rate(w, n, t, (s) => s.requests.total)]] },
		{ title: "Latency in ms", text: millis, axis: short, lines: [["half within", (w, n) => quantile(w, n, 0.5)], ["90 %", (w, n) => quantile(w, n, 0.9)],
			["99 %", (w, n) => quantile(w, n, 0.99)]] },
		{ title: "Connections", text: short, lines: [["open", (w, n) => n.connections.total], ["at work", (w, n) => n.connections.busy]] },
		{ title: "Sent a second", text: amount, base: 1024, lines: [["bytes", (w, n, t) => rate(w, n, t, (s) => s.requests.bytes)]] },
		{ title: "TLS handshakes a second", text: short, lines: [["finished", (w, n, t) => rate(w, n, t, (s) => s.tls.handshakes)],
			["failed", (w, n, t) => rate(w, n, t, (s) => s.tls.failed)]] },
		{ title: "Resumed handshakes", text: percent, most: 100, lines: [["resumed", resumed]] },
		{ title: "Session cache", text: percent, most: 100,
			lines: [["filled", (w, n) => n.cache && n.cache.capacity ? Math.min(100, 100 * n.cache.live / n.cache.capacity) : null]] },
		{ title: "Crashes since the start", text: short, least: 1, lines: [["crashes", (w, n) => crashes(n)]] },
	];

	/* ---------------------------------------------------------------- drawing */

	const make = (parent, name, attributes, text) => {
		const e = name === "svg" || parent.namespaceURI === SVG ? document.createElementNS(SVG, name) : document.createElement(name);
		for (const [key, value] of Object.entries(attributes || {}))
			e.setAttribute(key, value);
		if (text !== undefined)
			e.textContent = text;
		parent.append(e);
		return e;
	};

	const build = (plot) => {
		const figure = make(byId("plots"), "figure");
		const caption = make(figure, "figcaption", {}, plot.title);
		plot.svg = make(figure, "svg", { role: "img", height: HEIGHT, "aria-label": plot.title });
		plot.grid = make(plot.svg, "g", { class: "grid" });
		plot.paths = plot.lines.map((_, i) => make(plot.svg, "path", { class: "line s" + i }));
		plot.mark = make(plot.svg, "line", { class: "mark", y1: TOP, y2: HEIGHT - BOTTOM });
		const legend = make(figure, "p", { class: "legend" });
		plot.texts = plot.lines.map(([name], i) => {
			const entry = make(legend, "span", { class: "s" + i });
			if (plot.lines.length > 1)
				make(entry, "i");
			make(entry, "span", {}, name + " ");
			return make(entry, "b", {}, "–");
		});
		plot.caption = caption;
		const follow = (x) => {
			const width = plot.svg.clientWidth - LEFT - RIGHT;
			hover = samples.length - 1 - Math.round((1 - (x - plot.svg.getBoundingClientRect().left - LEFT) / width) * (shownNow() - 1));
			draw();
		};
		plot.svg.addEventListener("pointermove", (e) => follow(e.clientX));
		plot.svg.addEventListener("pointerleave", () => { hover = -1; draw(); });
	};

	/* 1, 2 or 5 times a power of ten, of a power of 1024 for bytes: at least n. */
	const round = (n, base) => {
		const unit = base ? base ** Math.floor(Math.log(n) / Math.log(base)) : 1, ten = 10 ** Math.floor(Math.log10(n / unit));
		return [1, 2, 5, 10].map((k) => k * ten * unit).find((k) => k >= n * 0.999);
	};
	/* How many seconds the plots show: what there is, within bounds. */
	const shownNow = () => Math.min(KEEP, Math.max(LEAST, samples.length));

	const drawPlot = (plot, index) => {
		const width = Math.max(160, plot.svg.clientWidth), inner = width - LEFT - RIGHT, deep = HEIGHT - TOP - BOTTOM;
		const values = samples.map((s) => s.values[index]);
		const highest = Math.max(0, ...values.flat().filter((v) => v !== null));
		const top = plot.most || round(Math.max(highest, plot.least || (plot.base ? 1 : 1e-2)), plot.base);
		const window = shownNow(), x = (i) => (LEFT + inner * (1 - (samples.length - 1 - i) / (window - 1))).toFixed(1);
		const y = (v) => (TOP + deep * (1 - v / top)).toFixed(1);

		plot.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
		plot.grid.replaceChildren();
		for (const part of [0, 0.5, 1]) {
			make(plot.grid, "line", { x1: LEFT, x2: width - RIGHT, y1: y(part * top), y2: y(part * top) });
			make(plot.grid, "text", { x: LEFT - 6, y: +y(part * top) + 4, "text-anchor": "end" }, (plot.axis || plot.text)(part * top).replace(/ %$/, "%"));
		}
		make(plot.grid, "text", { x: LEFT, y: HEIGHT - 5 }, span(window * EVERY / 1000) + " ago");
		make(plot.grid, "text", { x: width - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, "now");
		plot.lines.forEach((_, k) => {
			let path = "", pen = false;
			values.forEach((v, i) => {
				if (v[k] !== null)
					path += (pen ? "L" : "M") + x(i) + " " + y(v[k]) + (pen ? "" : "h.01");
				pen = v[k] !== null;
			});
			plot.paths[k].setAttribute("d", path);
		});
		const shown = hover >= 0 && hover < samples.length ? hover : samples.length - 1;
		plot.mark.setAttribute("x1", x(shown));
		plot.mark.setAttribute("x2", x(shown));
		plot.mark.setAttribute("visibility", hover >= 0 && hover < samples.length ? "visible" : "hidden");
		plot.texts.forEach((e, k) => { e.textContent = shown < 0 || values[shown][k] === null ? "–" : plot.text(values[shown][k]); });
		plot.svg.setAttribute("aria-label", plot.title + ": " + plot.texts.map((e, k) => plot.lines[k][0] + " " + e.textContent).join(", "));
	};
	const draw = () => plots.forEach(drawPlot);

	/* ---------------------------------------------------------------- the texts of the page that change */

	const put = (id, text) => { const e = byId(id); if (e) e.textContent = text; };
	const duration = (s) => {
		const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]], words = [];
		for (const [unit, length] of units) {
			const n = Math.floor(s / length);
			s %= length;
			if (n || words.length || length === 1)
				words.push(n + " " + unit + (n === 1 ? "" : "s"));
		}
		return words.join(" ");
	};
	const tell = (s, seconds) => {
		const up = Math.max(1, s.server.uptime), part = (n, of) => of ? (100 * n / of).toFixed(1) : "0.0";
		put("uptime", duration(s.server.uptime) + started);
		put("generation", s.server.generation);
		put("requests", `${s.requests.total} (${seconds ? short(rate(before, s, seconds, (v) => v.requests.total)) : short(s.requests.total / up)} a second)`);
		put("traffic", `${amount(s.requests.bytes)} (${amount(seconds ? rate(before, s, seconds, (v) => v.requests.bytes) : s.requests.bytes / up)} a second)`);
		put("connections", `${s.connections.total} open, ${s.connections.busy} of them at work; room for ${s.connections.idle} more`);
		put("h2", `${s.h2.connections} connections with ${s.h2.streams} streams open; ${s.h2.streams_total} streams in all, ${s.h2.resets_total} broken off`);
		put("handshakes", `${s.tls.handshakes}, ${part(s.tls.resumed, s.tls.handshakes)} % of them resumed; ${s.tls.failed} failed`);
		put("cpu", `${(s.cpu.user + s.cpu.system).toFixed(1)} s, ${part(s.cpu.user + s.cpu.system, up)} % of one since the start`);
		put("load", s.server.load.map((n) => n.toFixed(2)).join(" "));
		put("lost", s.log.dropped);
		put("living", s.children.living);
		put("letters", s.children.letters);
		put("operations", `${s.keys.operations}; ${s.keys.failed} failed, ${s.keys.late} late; ${s.keys.waiting} children wait now`);
		if (!s.cache)
			return;
		put("filled", `${s.cache.live} sessions, ${part(s.cache.live, s.cache.capacity)} % of some ${s.cache.capacity}`);
		put("looked", `${s.cache.hits} found, ${s.cache.misses} not`);
		if (byId("filled-meter"))
			byId("filled-meter").value = part(s.cache.live, s.cache.capacity);
	};

	/* ---------------------------------------------------------------- each second */

	const take = (s) => {
		const at = performance.now() / 1000, seconds = before ? Math.max(0.05, at - before.at) : 0;
		s.at = at;
		tell(s, seconds);
		if (before) {
			samples.push({ at, values: plots.map((plot) => plot.lines.map(([, of]) => of(before, s, seconds))) });
			if (samples.length > KEEP)
				samples.shift();
			draw();
		}
		before = s;
	};
	const ask = async () => {
		const limit = new AbortController(), timer = setTimeout(() => limit.abort(), GIVE_UP);
		try {
			const answer = await fetch(location.pathname + "?json", { cache: "no-store", signal: limit.signal });
			if (!answer.ok)
				throw new Error("the server answered with " + answer.status);
			take(await answer.json());
			say("Of the last five minutes, as long as this page was open. The numbers above the tables follow, the tables do not.", false);
		} catch (error) {
			say("No answer: " + error.message + ". Asking again.", true);
			before = null;
		}
		clearTimeout(timer);
	};
	const turn = async () => {
		if (!document.hidden && !paused)
			await ask();
		else
			before = null;          /* what is missed while nobody looks is no rate */
		setTimeout(turn, EVERY);
	};

	const button = make(state.parentNode, "button", { type: "button" }, "Pause");
	state.after(button);
	button.addEventListener("click", () => {
		paused = !paused;
		button.textContent = paused ? "Go on" : "Pause";
	});
	plots.forEach(build);
	addEventListener("resize", draw);
	draw();
	turn();
})();
