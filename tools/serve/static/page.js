// The page on the server's own endpoint: it sends an image, reads the progress line by line, and shows what came of it.
// Whatever comes from a file or from the server is shown as text, never as markup.
"use strict";

const FIELDS = {
  spacing: ["Spacing Z,Y,X in µm", "if the file has no voxel size, such as 2.0,0.8,0.8"],
  pixel_size_um: ["Pixel size in µm", "if you know it: sizes are then in µm, and objects are found more reliably"],
  scene: ["Scene", "if the file has several positions: name, or number from 0"],
  channel: ["Channel", "if the file has several channels: name, or number from 0"],
  time: ["Time point", "of a time series: number from 0"],
  boxes: ["Boxes", "[[x_min, y_min, x_max, y_max], ...] in pixels; without boxes and points all objects are found"],
  points: ["Points", "[[x, y], ...] in pixels, in the middle of each object"],
};
const PROMPTS = { boxes: 4, points: 2 }; // numbers of each
const WANTED = {
  YX: "Image: PNG, JPEG, TIFF, CZI, ND2, LIF, OIB, zipped OME-Zarr",
  ZYX: "Volume: NIfTI, TIFF stack, CZI, ND2, LIF, OIB, zipped OME-Zarr",
};

const CLICK_PX = 4; // on the screen; a pointer that moves further draws
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);
let bundles = [], file = null, result = null, abort = null, changes = 0;

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  return Object.assign(made, attributes);
}

async function start() {
  bundles = await (await fetch("bundles")).json();
  at("bundle").replaceChildren(...bundles.map((bundle) => new Option(bundle.name)));
  const early = file; // chosen before the bundles were known
  choose();
  take(early);
}

const chosen = () => bundles[at("bundle").selectedIndex];

function choose() {
  const bundle = chosen();
  at("task").textContent = bundle.task;
  at("wanted").textContent = WANTED[bundle.axes];
  at("fields").replaceChildren(...bundle.fields.map((name) => {
    const [title, hint] = FIELDS[name] ?? [name, ""];
    const label = element("label", title);
    label.append(element("small", hint), element("input", "", { id: name, oninput: showPrompts }));
    return label;
  }));
  at("samples").replaceChildren(...bundle.samples.map((name, index) => {
    const button = element("button", name, { type: "button" });
    button.onclick = () => takeSample(bundle, index, name);
    return button;
  }));
  take(null);
  clear();
}

function take(given) {
  if (result) clear(); // what is drawn over it would be of another image
  if (file) prompted().forEach((name) => { at(name).value = ""; });
  file = given;
  at("dropped").textContent = file ? `${file.name} (${Math.ceil(file.size / 1024)} KiB)` : "or drop it here";
}

async function takeSample(bundle, index, name) {
  const answer = await fetch(`samples/${encodeURIComponent(bundle.name)}/${index}`);
  at("input").value = "";
  take(new File([await answer.blob()], name));
}

// An old result goes off the page and off the server: beside a new image, or an error, it would be taken for its.
function clear(counts = "") {
  abort?.abort();
  abort = null;
  forget();
  at("counts").textContent = counts;
  for (const id of ["progress", "error", "slice", "prompt", "correct", "mask", "csv", "zip", "table"]) at(id).hidden = true;
  for (const id of ["image", "outlines", "table"]) at(id).replaceChildren();
  at("segment").disabled = false;
}

function forget() {
  if (result) navigator.sendBeacon(`results/${result.id}/forget`);
  result = null;
}

function fail(message) {
  clear();
  at("error").textContent = message;
  at("error").hidden = false;
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

function tell(told) {
  at("progress").hidden = false;
  at("counts").textContent = told.state === "waiting"
    ? `waiting, ${told.before} before this one` : `segmenting, ${Math.floor(told.seconds)} s`;
}

async function segment() {
  clear();
  if (!file) return fail("Drop an image first, or choose a sample.");
  const bundle = chosen(), own = abort = new AbortController();
  const form = new FormData();
  form.append("bundle", bundle.name);
  for (const name of bundle.fields) {
    const value = at(name).value.trim();
    if (value) form.append(name, value);
  }
  form.append("image", file, file.name);
  at("segment").disabled = true;
  at("progress").hidden = false;
  at("counts").textContent = "sending";
  try {
    const response = await fetch("results", { method: "POST", body: form, signal: own.signal });
    if (!response.ok) return fail((await response.json()).message);
    for await (const told of lines(response)) {
      if (told.state === "failed") return fail(told.message);
      if (told.state === "done") return show(told);
      tell(told);
    }
    fail("The server ended before the result was there.");
  } catch (error) {
    if (own.signal.aborted) return;
    fail("The image could not be sent: the server refused it, or cannot be reached. Was the file changed or moved?");
  }
}

function show(told) {
  clear(`${told.summary} in ${told.seconds.toFixed(1)} s`);
  result = told;
  at("plane").max = told.planes - 1;
  at("plane").value = Math.floor(told.planes / 2);
  at("slice").hidden = told.planes === 1;
  at("prompt").hidden = !prompted().length;
  at("correct").hidden = !told.corrects;
  at("kept").textContent = "";
  draw();
  for (const id of ["mask", "csv", "zip"]) {
    at(id).hidden = !told.files[id];
    if (told.files[id]) Object.assign(at(id), { href: `results/${told.id}/files/${id}`, download: told.files[id] });
  }
  if (!told.columns) return;
  const table = element("table"), head = element("tr");
  head.append(...told.columns.map((name) => element("th", name)));
  table.append(head, ...told.rows.map((cells) => {
    const row = element("tr");
    row.append(...cells.map((cell) => element("td", cell)));
    return row;
  }));
  at("table").replaceChildren(table);
  at("table").hidden = false;
}

function draw() {
  const z = at("plane").value;
  at("z").textContent = z;
  for (const [id, title] of [["image", "Image"], ["outlines", `Outlines: ${result.kind}`]]) {
    const picture = element("img", "", { src: `results/${result.id}/${id}/${z}?change=${changes}`, alt: title });
    const frame = element("div", "", { className: "frame" });
    frame.append(picture, document.createElementNS(SVG, "svg"));
    frame.lastChild.setAttribute("viewBox", "0 0 1 1");
    frame.lastChild.setAttribute("preserveAspectRatio", "none");
    at(id).replaceChildren(element("figcaption", title), frame);
  }
  if (prompted().length) follow("image", (points) => around(points[0], points.at(-1)), prompt);
  showPrompts();
  if (result.corrects) follow("outlines", (points) => points, correct);
}

function addLine(id, points = [], kind = "") {
  const line = at(id).querySelector("svg").appendChild(document.createElementNS(SVG, "polyline"));
  line.setAttribute("points", points.join(" "));
  line.setAttribute("class", kind);
  return line;
}

// The way of a pointer over a picture, in parts of its sides; `shape` is the line that is seen meanwhile.
function follow(id, shape, done) {
  const picture = at(id).querySelector("img"), line = addLine(id);
  const part = (value) => Math.min(Math.max(value, 0), 1);
  let points = [];
  const add = (event) => {
    const place = picture.getBoundingClientRect();
    points.push([part((event.clientX - place.left) / place.width), part((event.clientY - place.top) / place.height)]);
    line.setAttribute("points", shape(points).join(" "));
  };
  picture.classList.add("followed");
  picture.draggable = false;
  picture.onpointerdown = (event) => {
    points = [];
    picture.setPointerCapture(event.pointerId);
    add(event);
  };
  picture.onpointermove = (event) => { if (picture.hasPointerCapture(event.pointerId)) add(event); };
  picture.onpointerup = () => {
    line.setAttribute("points", "");
    done(points, points.every(([x, y]) =>
      Math.hypot((x - points[0][0]) * picture.width, (y - points[0][1]) * picture.height) < CLICK_PX));
  };
}

const around = ([x, y], [x2, y2]) => [[x, y], [x2, y], [x2, y2], [x, y2], [x, y]];

const prompted = () => Object.keys(PROMPTS).filter((name) => at(name));

// What a field holds, as far as it can be drawn; the rest the server will refuse in words.
function prompts(name) {
  try {
    const given = JSON.parse(at(name).value);
    return given.every((one) => one.length === PROMPTS[name]) ? given : [];
  } catch {
    return [];
  }
}

// A drag adds a box to those in the field, a click a point, or it removes what is there.
function prompt(way, isClick) {
  const [height, width] = result.size, near = 0.01 * Math.max(height, width);
  const [[x, y], [x2, y2]] = [way[0], way.at(-1)].map(([x, y]) => [
    Math.min(Math.round(x * width), width - 1), Math.min(Math.round(y * height), height - 1)]);
  const isThere = {
    points: ([px, py]) => Math.hypot(px - x, py - y) <= near,
    boxes: ([left, top, right, bottom]) => left <= x && x <= right && top <= y && y <= bottom,
  };
  const hit = isClick && ["points", "boxes"].find((name) => prompts(name).some(isThere[name]));
  const name = hit || (isClick ? "points" : "boxes");
  const added = isClick ? [x, y] : [Math.min(x, x2), Math.min(y, y2), Math.max(x, x2), Math.max(y, y2)];
  const kept = hit ? prompts(hit).filter((one) => !isThere[hit](one)) : [...prompts(name), added];
  at(name).value = kept.length ? JSON.stringify(kept) : "";
  showPrompts();
}

function showPrompts() {
  if (!result) return;
  const [height, width] = result.size, part = ([x, y]) => [x / width, y / height];
  at("image").querySelectorAll(".box, .point").forEach((line) => line.remove());
  for (const [x, y, x2, y2] of prompts("boxes")) addLine("image", around(part([x, y]), part([x2, y2])), "box");
  for (const place of prompts("points")) addLine("image", [part(place), part(place)], "point");
}

// One point removes an object; several draw one, or merge or split those that they go over.
function correct(points, isClick) {
  const action = at("action").value;
  if (isClick) change(points.slice(0, 1));
  else if (action === "draw") change(points.concat(points).slice(0, Math.max(points.length, 3)));
  else change(points, action);
}

async function post(what, body) {
  const answer = await fetch(`results/${result.id}/${what}`, { method: "POST", body });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) at("kept").textContent = told.message;
  return answer.ok ? told : null;
}

async function change(points, action = "draw") {
  at("kept").textContent = "";
  const asked = JSON.stringify({ z: Number(at("plane").value), points, action });
  if (await post("change", asked)) { changes += 1; draw(); }
}

async function keep() {
  const told = await post("keep");
  if (told) at("kept").textContent = `kept as ${told.name} for ${told.dataset}`;
}

at("bundle").onchange = choose;
at("input").onchange = () => take(at("input").files[0] ?? null);
at("plane").oninput = draw;
at("undo").onclick = () => change([]);
at("keep").onclick = keep;
at("form").onsubmit = (event) => { event.preventDefault(); segment(); };
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  at("file").addEventListener(kind, (event) => {
    event.preventDefault();
    at("file").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) { at("input").value = ""; take(event.dataTransfer.files[0]); }
  });
}
window.addEventListener("pagehide", forget);
start().catch(() => fail("The server cannot be reached."));
