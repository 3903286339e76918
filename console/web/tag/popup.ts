import { card, stage } from './card';
import { serverNow } from './clock';
import type { Action, Envelope, Reply } from './push';
import { after, on, visible } from './safety';
import { session } from './storage';

// Popup is an action on its way to the user's eyes.
interface Popup {
  reply: string | undefined;
  action: Action;
  /** dialog is there once it is in the page, before what had the focus then. */
  dialog?: HTMLElement;
  before?: HTMLElement | null;
  seen?: boolean;
  over?: boolean;
}

const stored = 'shown';
const typing = 'input,textarea,select,iframe,[contenteditable]';

/** popups takes envelopes, shows their actions one at a time per slot, and tells what became of each. */
export function popups(mode: ShadowRootMode, tell: (r: Reply) => void): (e: Envelope) => void {
  const list: Popup[] = []; // not over, in order of arrival
  let root: ShadowRoot | undefined;

  const say = (p: Popup, status: Reply['status']) => tell({ reply: p.reply, status, action: p.action.id });

  const present = () => {
    if (!visible() || !document.body) return;
    const taken: unknown[] = [];
    for (const p of list) {
      if (!taken.includes(p.action.slot) && !p.dialog) show(p);
      taken.push(p.action.slot);
    }
  };

  const show = (p: Popup) => {
    root = root || stage(mode);
    if (!root.host.isConnected) document.body.appendChild(root.host);
    const before = (p.before = document.activeElement as HTMLElement | null);
    p.dialog = root.appendChild(card(p.action, (taken) => finish(p, taken ? 'clicked' : 'dismissed')));
    // Whoever is typing keeps the focus; everybody else's moves, so that the dialog is read out.
    if (!before || !before.matches(typing)) p.dialog.focus({ preventScroll: true });
    look(p);
  };

  // The second frame begins when the first was painted. What the page hides by its own style is not seen.
  const look = (p: Popup) =>
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        if (p.over) return;
        if (visible() && p.dialog!.offsetWidth) see(p);
        else after(500, () => look(p));
      }),
    );

  const see = (p: Popup) => {
    if (p.seen) return;
    p.seen = true;
    session.write(stored, [...session.read<string[]>(stored, []), p.action.id].slice(-50));
    say(p, 'seen');
  };

  const finish = (p: Popup, status: Reply['status']) => {
    if (p.over) return;
    p.over = true;
    list.splice(list.indexOf(p), 1);
    if (p.dialog) {
      const focused = root!.activeElement && p.dialog.contains(root!.activeElement);
      p.dialog.remove();
      if (focused && p.before) p.before.focus({ preventScroll: true });
    }
    if (status != 'expired') see(p);
    say(p, status);
    present();
  };

  // Expiry ends the wait for the user's eyes; what is being read stays.
  const expire = (p: Popup) => {
    const left = p.action.expires_ms! - serverNow();
    if (!p.action.expires_ms || p.seen) return;
    if (left > 0) after(left, () => expire(p));
    else finish(p, 'expired');
  };

  on(document, 'visibilitychange DOMContentLoaded', present);
  on(document, 'keydown', (e) => {
    const [top] = list.filter((p) => p.dialog).slice(-1);
    if (top && (e as KeyboardEvent).key == 'Escape') finish(top, 'dismissed');
  });

  return ({ id, cmd, action }) => {
    if (cmd != 'popup' || !action || !action.id || list.length > 50) return;
    const p: Popup = { reply: id, action };
    if (list.some((q) => q.action.id == action.id) || session.read<string[]>(stored, []).includes(action.id)) {
      return say(p, 'duplicate');
    }
    list.push(p);
    expire(p);
    present();
  };
}
