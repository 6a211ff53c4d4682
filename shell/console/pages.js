// Lists that the server gives in pages.
import { call } from './api.js';
import { element } from './dom.js';

// A list of a method's items, a page at a time. `show` gets the items of a page as [key, value], and `load` reads the page
// that is shown again; `begin` goes to the first page, of other parameters.
export function pages({ method, field, limit, show, failed }) {
  const cursors = [null];
  let parameters = {};
  let next = null;
  let turn = 0;
  const back = element('button', { type: 'button', className: 'quiet', disabled: true }, 'Previous');
  const forth = element('button', { type: 'button', className: 'quiet', disabled: true }, 'Next');
  const root = element('div', { className: 'pages' }, back, forth);

  const load = async () => {
    turn += 1;
    const mine = turn;
    const cursor = cursors.at(-1);
    try {
      const result = await call(method, { ...parameters, limit, ...(cursor === null ? {} : { cursor }) });
      // Another page may have been asked for meanwhile.
      if (mine !== turn) return;
      next = result.cursor ?? null;
      failed('');
      show(Object.entries(result[field]));
    } catch (refused) {
      if (mine === turn) failed(refused.message);
    }
    back.disabled = cursors.length === 1;
    forth.disabled = next === null;
    root.hidden = back.disabled && forth.disabled;
  };
  back.addEventListener('click', () => {
    cursors.pop();
    load();
  });
  forth.addEventListener('click', () => {
    cursors.push(next);
    load();
  });
  const begin = (others) => {
    parameters = others;
    cursors.length = 1;
    return load();
  };
  return { root, load, begin };
}
