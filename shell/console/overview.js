// What there is, and what happens now.
import { bytes, count, element, percent } from './dom.js';
import { firstMessage } from './first.js';
import { RATES, graph, sample } from './graph.js';

const FIGURES = [
  ['Connections', ({ connections }) => count(connections)],
  ['Users', ({ users }) => count(users)],
  ['Rooms', ({ rooms }) => count(rooms)],
  ['Memberships', ({ memberships }) => count(memberships)],
  ['HTTP sockets', ({ http_connections: sockets }) => count(sockets)],
  ['Waits for sockets', ({ outbox_bytes: waiting }) => bytes(waiting)],
  ['Kept as history', ({ history_bytes: kept }) => bytes(kept)],
  ['Delivered', ({ rates }) => percent(rates['15m'].send_success)],
];

export function overview(root, { session }) {
  const first = session.mode === 'development' && session.key ? firstMessage(session.key) : null;
  const values = FIGURES.map(() => element('dd', {}, '–'));
  const figures = FIGURES.map(([name], at) => element('div', {}, element('dt', {}, name), values[at]));
  const graphs = RATES.map(([name]) => graph(name));
  const checks = element('p', { className: 'error' });
  root.append(
    ...(first ? [first.root] : []),
    checks,
    element('dl', { className: 'figures', 'aria-label': 'What there is now' }, ...figures),
    element('section', { className: 'graphs', 'aria-label': 'Rates' }, ...graphs.map((one) => one.root)),
  );
  const update = (health) => {
    FIGURES.forEach(([, of], at) => {
      values[at].textContent = of(health);
    });
    const { '1m': minute, '15m': quarter } = health.rates;
    sample(health).forEach((points, at) => {
      const field = RATES[at][2];
      graphs[at].show(points, minute[field], quarter[field]);
    });
    const failed = Object.entries(health.checks).filter(([, result]) => result !== 'ok');
    checks.textContent = failed.map(([name, why]) => `${name}: ${why}`).join(' · ');
  };
  return { update, stop: () => first?.stop() };
}
