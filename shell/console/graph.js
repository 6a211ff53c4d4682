// Small graphs of rates: a curve of the last minutes, the latest value, and what it was on average.
import { element, rate } from './dom.js';

const POINTS = 150;
const WIDTH = POINTS - 1;
const HEIGHT = 40;
const SVG = 'http://www.w3.org/2000/svg';

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}

// A graph of one rate. `show` takes all of its points, and the averages of a minute and of fifteen.
export function graph(name) {
  const value = element('output', {}, '–');
  const averages = element('p', { className: 'muted small' }, ' ');
  const area = shape('path', { class: 'area' });
  const curve = shape('path', { class: 'curve' });
  const base = shape('path', { class: 'base', d: `M0 ${HEIGHT}H${WIDTH}` });
  const picture = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  picture.append(area, base, curve);
  const caption = element('figcaption', {}, element('span', { className: 'muted' }, name), value);
  const root = element('figure', { className: 'graph' }, caption, picture, averages);
  const show = (points, minute, quarter) => {
    const most = Math.max(1, ...points) * 1.1;
    const left = POINTS - points.length;
    const at = points.map((point, index) => `${left + index} ${(HEIGHT * (1 - point / most)).toFixed(2)}`);
    curve.setAttribute('d', at.length > 1 ? `M${at.join('L')}` : '');
    area.setAttribute('d', at.length > 1 ? `M${left} ${HEIGHT}L${at.join('L')}L${WIDTH} ${HEIGHT}Z` : '');
    value.textContent = points.length ? `${rate(points.at(-1))}/s` : '–';
    averages.textContent = `1 min ${rate(minute)}/s · 15 min ${rate(quarter)}/s`;
  };
  return { root, show };
}

const sum = (counts) => Object.values(counts).reduce((total, one) => total + one, 0);

// The rates that are shown: name, the count that grows, and the field of the averages.
export const RATES = [
  ['Published', ({ published }) => published, 'published_per_second'],
  ['Sent to clients', ({ frames_written: written }) => written, 'frames_written_per_second'],
  ['Received from clients', ({ messages_in: received }) => received, 'messages_in_per_second'],
  ['Connects', ({ accepted }) => accepted, 'connects_per_second'],
  ['Closes', ({ closed }) => sum(closed), 'disconnects_per_second'],
  ['Refused', ({ refused }) => sum(refused), 'refused_per_second'],
];

// The points of all graphs since the page was opened. They outlive the view that shows them.
const points = RATES.map(() => []);
let before = null;

// Takes figures of the server, which come every few seconds.
export function sample({ uptime_seconds: at, totals }) {
  const counts = RATES.map(([, count]) => count(totals));
  // A server, or a shard, that began anew counts from zero.
  const isSame = before && at > before.at && counts.every((count, index) => count >= before.counts[index]);
  if (isSame) {
    counts.forEach((count, index) => {
      points[index].push((count - before.counts[index]) / (at - before.at));
      if (points[index].length > POINTS) points[index].shift();
    });
  }
  if (!before || at !== before.at) before = { at, counts };
  return points;
}
