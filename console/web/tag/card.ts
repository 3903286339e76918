import type { Action } from './push';
import { guard } from './safety';
import css from './popup.css';

/** stage is the place of all popups: #dwell-popup at the end of the body, its inside out of the page's reach. */
export function stage(mode: ShadowRootMode): ShadowRoot {
  const host = document.createElement('div');
  host.id = 'dwell-popup';
  const root = host.attachShadow({ mode });
  try {
    // A sheet made this way needs no 'unsafe-inline' from the page's policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
  } catch {
    add(root, 'style', '', css);
  }
  return root;
}

/** card is the popup itself; ended is called once, with whether the user took the offer. */
export function card({ payload }: Action, ended: (taken: boolean) => void): HTMLElement {
  const { title, body, button, link } = payload || {};
  const dialog = document.createElement('div');
  dialog.tabIndex = -1;
  dialog.setAttribute('role', 'dialog');
  dialog.setAttribute('aria-label', String(title || body || button || 'Message'));
  if (title) add(dialog, 'h2', '', title);
  if (body) add(dialog, 'p', '', body);
  const href = safe(link);
  if (button || href) {
    const go = add(dialog, href ? 'a' : 'button', 'go', button || 'Open');
    if (href) (go as HTMLAnchorElement).href = href;
    go.onclick = guard(() => ended(true));
  }
  const close = add(dialog, 'button', 'close', '×');
  close.setAttribute('aria-label', 'Close');
  close.onclick = guard(() => ended(false));
  return dialog;
}

function add(to: Node, tag: string, name: string, text: string): HTMLElement {
  const e = document.createElement(tag);
  e.className = name;
  e.textContent = text;
  to.appendChild(e);
  return e;
}

/** safe is the address of a link to http(s), absolute or relative to the page; anything else is ''. */
function safe(link?: string): string {
  try {
    const { protocol, href } = new URL(link || 'about:', document.baseURI);
    return /^https?:$/.test(protocol) ? href : '';
  } catch {
    return '';
  }
}
