// Every limit: its value, how much of it is used, how often it was reached, and what happens there.
import { call } from './api.js';
import { count, element, percent, repeat, table } from './dom.js';

const PAUSE = 5000;

// What counts towards a limit of the whole server. Others are of one connection, room or message, and have no single use.
const USES = {
  connections: ({ connections }) => connections,
  http_connections: ({ http_connections: sockets }) => sockets,
  logs: ({ logs }) => logs,
  absences: ({ absences }) => absences,
  history_bytes: ({ history_bytes: kept }) => kept,
  inbound_bytes_total: ({ inbound_bytes: waiting }) => waiting,
  outbox_bytes_total: ({ refused_bytes: waiting }) => waiting,
  outbox_bytes: (health, outboxes) => outboxes[0]?.bytes ?? 0,
};

export function limits(root) {
  const filter = element('input', { type: 'search', autocomplete: 'off', spellcheck: false });
  const error = element('p', { className: 'error' });
  const list = table([
    { name: 'Limit', cell: ({ name }) => element('code', {}, name) },
    { name: 'Value', isNumber: true, cell: ({ value }) => (/^\d+$/.test(value) ? count(value) : value) },
    { name: 'In use', isNumber: true, cell: useOf },
    { name: 'Reached', isNumber: true, cell: ({ hits }) => (hits > 0 ? `${count(hits)} times` : '–') },
    { name: 'What happens there', cell: ({ answer }) => answer },
  ]);
  let rows = [];
  let figures = null;
  let outboxes = [];
  const show = () => {
    if (!figures) return;
    const wanted = filter.value.trim().toLowerCase();
    const known = rows.filter(({ name }) => name.includes(wanted)).map((row) => ({
      ...row,
      use: USES[row.name]?.(figures, outboxes) ?? null,
      hits: figures.totals.limits[row.name] ?? 0,
    }));
    // Those that are used or were reached come first; the others stay in their order.
    const rank = ({ use, hits }) => (hits > 0 ? 2 : 0) + (use === null ? 0 : 1);
    list.show(known.sort((one, other) => rank(other) - rank(one)));
  };
  const load = async () => {
    try {
      if (rows.length === 0) {
        const { limits: all } = await call('limits');
        rows = Object.entries(all).map(([name, row]) => ({ name, ...row }));
      }
      error.textContent = '';
    } catch (refused) {
      error.textContent = refused.message;
    }
    // A key may read limits and not this; then one use is not known.
    outboxes = await call('outboxes').then(({ connections }) => connections).catch(() => []);
    show();
  };
  filter.addEventListener('input', show);
  root.append(
    element(
      'section',
      { className: 'card' },
      element('div', { className: 'head' }, element('h2', { tabIndex: -1 }, 'Limits')),
      element('label', {}, element('span', {}, 'Filter'), filter),
      error,
      list.root,
    ),
  );
  const update = (health) => {
    const isFirst = !figures;
    figures = health;
    if (isFirst) show();
  };
  return { update, stop: repeat(load, PAUSE) };
}

function useOf({ use, value }) {
  if (use === null) return '–';
  const most = Number(value);
  if (!(most > 0)) return count(use);
  const words = element('span', {}, `${count(use)} (${percent(use / most)})`);
  const bar = element('meter', { max: most, high: most * 0.8, value: use, 'aria-hidden': 'true' });
  return element('span', {}, words, bar);
}
