// The rooms that have members.
import { count, element, repeat, table } from './dom.js';
import { pages } from './pages.js';

const ROOMS_PER_PAGE = 100;
const PAUSE = 5000;
const TYPING_PAUSE = 150;

export const linkToRoom = (room) => element('a', { href: `#room/${encodeURIComponent(room)}` }, room);

export function rooms(root) {
  const filter = element('input', { type: 'search', autocomplete: 'off', spellcheck: false, placeholder: 'a part of the name; * and ? as patterns' });
  const error = element('p', { className: 'error', role: 'alert' });
  const nothing = element('p', { className: 'muted', hidden: true });
  const open = (name) => element('a', { href: `#room/${encodeURIComponent(name)}` }, `Open ${name}`);
  const list = table([
    { name: 'Room', cell: ([room]) => linkToRoom(room) },
    { name: 'Members', isNumber: true, cell: ([, { num_clients: members }]) => count(members) },
  ]);
  const paged = pages({
    method: 'channels',
    field: 'channels',
    limit: ROOMS_PER_PAGE,
    show: (items) => {
      list.show(items);
      list.root.hidden = items.length === 0;
      nothing.hidden = items.length > 0;
      const name = filter.value.trim();
      nothing.replaceChildren(
        ...(name ? ['No room with members is called so. ', open(name)] : ['No room has members.']),
      );
    },
    failed: (why) => {
      error.textContent = why;
      // A key that is for some rooms may not list them all, and may open its own.
      const name = filter.value.trim();
      nothing.hidden = why === '';
      nothing.replaceChildren(...(name ? [open(name)] : ['Type the name of a room to open it.']));
    },
  });
  // Plain text is looked for anywhere in a name.
  const search = () => {
    const text = filter.value.trim();
    const pattern = /[*?]/.test(text) ? text : `*${text}*`;
    return paged.begin(text ? { pattern } : {});
  };
  let typing = null;
  filter.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING_PAUSE);
  });
  root.append(
    element(
      'section',
      { className: 'card' },
      element('div', { className: 'head' }, element('h2', { tabIndex: -1 }, 'Rooms'), paged.root),
      element('label', {}, element('span', {}, 'Filter'), filter),
      error,
      nothing,
      list.root,
    ),
  );
  const stop = repeat(paged.load, PAUSE);
  return { stop };
}
