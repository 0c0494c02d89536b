// Draw a cortex that turns, once for each quantity, in the colours of the checkpoint that the slider chooses.
// It is painted pixel by pixel, so that it needs no WebGL. Vertices, triangles and colours: report/surface_viewer.py.

const surface = content.surface;
const decode = (text, Type) => new Type(bytes(text).buffer);
const vertices = decode(surface.inflated, Float32Array), faces = decode(surface.faces, Uint16Array);
const greys = bytes(surface.greys), palette = bytes(surface.palette), positions = decode(surface.positions, Int8Array);
const nVertices = vertices.length / 3, nFaces = faces.length / 3;
const quantities = Object.entries(surface.quantities).map(([name, { values, ...each }]) => ({
  ...each,
  values: values.map((text) => decode(text, Float32Array)),
  canvas: document.getElementById("surface-" + name),
  colours: new Float32Array(3 * nVertices),
}));
const { width, height } = quantities[0].canvas;
const PIXELS_PER_MM = 1.6, DEGREES_PER_PIXEL = 0.6, DEGREES_PER_KEY = 10, CLICK_PIXELS = 4;
const VIEWS = { lateral: [180, 0], medial: [0, 0], front: [90, 0], back: [270, 0], above: [180, 90], below: [180, -90] };
let [turn, tilt] = VIEWS.lateral; // of the viewer: 180 looks at the outside of the left hemisphere, 90 from above
let chosen = -1; // the vertex of the last click

// Directions to the outside, which the light depends on.
const normals = new Float32Array(3 * nVertices);
for (let f = 0; f < faces.length; f += 3) {
  const [a, b, c] = [0, 1, 2].map((k) => [0, 1, 2].map((axis) => vertices[3 * faces[f + k] + axis]));
  const u = b.map((x, axis) => x - a[axis]), v = c.map((x, axis) => x - a[axis]);
  for (let k = 0; k < 3; k++)
    for (let axis = 0; axis < 3; axis++) {
      const [i, j] = [(axis + 1) % 3, (axis + 2) % 3];
      normals[3 * faces[f + k] + axis] += u[i] * v[j] - u[j] * v[i];
    }
}
for (let v = 0; v < nVertices; v++) {
  const length = Math.hypot(normals[3 * v], normals[3 * v + 1], normals[3 * v + 2]);
  for (let axis = 0; axis < 3; axis++) normals[3 * v + axis] /= length;
}

// Of each pixel: the triangle that is seen (-1: none), its depth, and the weights of its second and third corner.
const seen = new Int32Array(width * height), depths = new Float32Array(width * height);
const weights = new Float32Array(2 * width * height);
const screen = new Float32Array(3 * nVertices), light = new Float32Array(nVertices); // right, down, towards the viewer

function turnSurface() {
  const [a, e] = [turn, tilt].map((degrees) => (degrees * Math.PI) / 180);
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [-Math.cos(a) * Math.sin(e), -Math.sin(a) * Math.sin(e), Math.cos(e)];
  const viewer = [Math.cos(a) * Math.cos(e), Math.sin(a) * Math.cos(e), Math.sin(e)];
  const along = (vectors, v, [x, y, z]) => vectors[3 * v] * x + vectors[3 * v + 1] * y + vectors[3 * v + 2] * z;
  for (let v = 0; v < nVertices; v++) {
    screen[3 * v] = width / 2 + PIXELS_PER_MM * along(vertices, v, right);
    screen[3 * v + 1] = height / 2 - PIXELS_PER_MM * along(vertices, v, up);
    screen[3 * v + 2] = along(vertices, v, viewer);
    light[v] = surface.darkest + (1 - surface.darkest) * Math.max(0, along(normals, v, viewer));
  }
  seen.fill(-1);
  depths.fill(-Infinity);
  for (let f = 0; f < nFaces; f++) {
    const [a, b, c] = [3 * faces[3 * f], 3 * faces[3 * f + 1], 3 * faces[3 * f + 2]];
    const [ax, ay, bx, by] = [screen[a], screen[a + 1], screen[b] - screen[a], screen[b + 1] - screen[a + 1]];
    const [cx, cy] = [screen[c] - ax, screen[c + 1] - ay];
    const area = bx * cy - by * cx;
    if (area >= 0) continue; // it faces away
    const lastX = Math.min(width - 1, Math.floor(ax + Math.max(0, bx, cx)));
    const lastY = Math.min(height - 1, Math.floor(ay + Math.max(0, by, cy)));
    for (let y = Math.max(0, Math.ceil(ay + Math.min(0, by, cy))); y <= lastY; y++)
      for (let x = Math.max(0, Math.ceil(ax + Math.min(0, bx, cx))); x <= lastX; x++) {
        const second = ((x - ax) * cy - (y - ay) * cx) / area, third = (bx * (y - ay) - by * (x - ax)) / area;
        if (second < 0 || third < 0 || second + third > 1) continue;
        const depth = (1 - second - third) * screen[a + 2] + second * screen[b + 2] + third * screen[c + 2];
        const pixel = y * width + x;
        if (depth <= depths[pixel]) continue;
        depths[pixel] = depth;
        seen[pixel] = f;
        weights[2 * pixel] = second;
        weights[2 * pixel + 1] = third;
      }
  }
}

// Colours between white and the ends of the scale; a vertex without a value is grey.
function colourSurface() {
  for (const { values, limit, colours } of quantities) {
    const shown = values[slider.value];
    for (let v = 0; v < nVertices; v++) {
      const level = Math.min(255, Math.max(0, Math.floor((128 * shown[v]) / limit + 128)));
      for (let k = 0; k < 3; k++) colours[3 * v + k] = Number.isNaN(shown[v]) ? greys[v] : palette[3 * level + k];
    }
  }
}

function paintSurface() {
  for (const { canvas, colours } of quantities) {
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let pixel = 0; pixel < seen.length; pixel++) {
      if (seen[pixel] < 0) continue;
      const [a, b, c] = [0, 1, 2].map((k) => faces[3 * seen[pixel] + k]);
      const second = weights[2 * pixel], third = weights[2 * pixel + 1], first = 1 - second - third;
      const shade = first * light[a] + second * light[b] + third * light[c];
      for (let k = 0; k < 3; k++)
        image.data[4 * pixel + k] =
          shade * (first * colours[3 * a + k] + second * colours[3 * b + k] + third * colours[3 * c + k]);
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    const [x, y, depth] = screen.subarray(3 * chosen, 3 * chosen + 3);
    if (chosen < 0 || depth < depths[Math.round(y) * width + Math.round(x)] - 2) continue; // 2 mm behind the surface
    context.beginPath();
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.stroke();
  }
}

function describeVertex() {
  if (chosen < 0) return;
  const [x, y, z] = positions.subarray(3 * chosen, 3 * chosen + 3);
  const values = quantities.map(({ title, values }) => {
    const value = values[slider.value][chosen];
    return title + " " + (Number.isNaN(value) ? "none" : value.toFixed(4));
  });
  document.getElementById("vertex").textContent =
    "cortex at x = " + x + ", y = " + y + ", z = " + z + " mm: " + values.join(", ");
}

function showSurface() {
  colourSurface();
  paintSurface();
  describeVertex();
  document.getElementById("n_ratios").textContent = surface.n_ratios[slider.value];
}

function lookFrom(newTurn, newTilt) {
  [turn, tilt] = [(newTurn + 360) % 360, Math.max(-90, Math.min(90, newTilt))];
  turnSurface();
  paintSurface();
}

function choose(canvas, event) {
  const x = Math.round((event.offsetX * width) / canvas.clientWidth);
  const y = Math.round((event.offsetY * height) / canvas.clientHeight);
  const pixel = y * width + x, face = seen[pixel];
  if (!(face >= 0)) return;
  const [second, third] = [weights[2 * pixel], weights[2 * pixel + 1]];
  const shares = [1 - second - third, second, third];
  chosen = faces[3 * face + shares.indexOf(Math.max(...shares))];
  paintSurface();
  describeVertex();
}

for (const { canvas } of quantities) {
  let start = null, isWaiting = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    start = { x: event.offsetX, y: event.offsetY, turn, tilt, isDrag: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [right, down] = [event.offsetX - start.x, event.offsetY - start.y];
    start.isDrag ||= Math.hypot(right, down) > CLICK_PIXELS;
    if (!start.isDrag || isWaiting) return;
    isWaiting = true; // one picture a frame
    const [newTurn, newTilt] = [start.turn - DEGREES_PER_PIXEL * right, start.tilt + DEGREES_PER_PIXEL * down];
    requestAnimationFrame(() => {
      isWaiting = false;
      lookFrom(newTurn, newTilt);
    });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (start && !start.isDrag) choose(canvas, event);
    start = null;
  });
  canvas.addEventListener("pointercancel", () => (start = null));
  canvas.addEventListener("keydown", (event) => {
    const [right, up] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (right === undefined) return;
    event.preventDefault();
    lookFrom(turn + DEGREES_PER_KEY * right, tilt + DEGREES_PER_KEY * up);
  });
}
for (const [name, place] of Object.entries(VIEWS))
  document.getElementById("from-" + name).addEventListener("click", () => lookFrom(...place));
for (const { canvas, limit } of quantities) {
  const bar = canvas.parentElement.querySelector(".scale"), colour = (level) => palette.slice(3 * level, 3 * level + 3);
  const stops = Array.from({ length: 17 }, (_, k) => "rgb(" + colour(Math.min(255, 16 * k)).join(",") + ")");
  bar.style.background = "linear-gradient(to right, " + stops.join(", ") + ")";
  bar.parentElement.firstElementChild.textContent = "−" + limit.toPrecision(2);
  bar.parentElement.lastElementChild.textContent = limit.toPrecision(2);
}
slider.addEventListener("input", showSurface);
turnSurface();
showSurface();
