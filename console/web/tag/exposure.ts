import { hear, heard, now } from './clock';
import { hex, type User } from './identity';
import { type Letter, outbox } from './outbox';
import { after, on, visible } from './safety';
import { type View, watch } from './slots';

/** Exposure tells the server, in frames, what of every slot is in view. It never sums up time: the server does. */
export interface Exposure {
  /** renew ends this page view and begins another, for whoever who() names now. */
  renew(): void;
}

const heartbeat = 5e3; // ms between frames while something is in view
const idle = 5e3; // ms after which a user's act is a return
const settle = 200; // ms in which small moves become one frame
const marks = [0.3, 0.5, 1]; // shares of a slot whose crossing is told at once

/** exposure sends frames from now on; the last 50 that no server acknowledged are kept. */
export function exposure(base: string, key: string, who: () => User): Exposure {
  const box = outbox({
    base,
    limit: 50,
    pack: (letters) => ({
      to: 'frames',
      body: '{"writeKey":' + JSON.stringify(key) + ',' + letters[0]!.who + ',"frames":[' + letters.map((l) => l.json) + ']}',
    }),
    answered: (a) => hear(a.t),
  });
  let pv = hex(8);
  let seq = 0;
  let over = false;
  let frozen = false;
  let act = 0; // ct; opening the page is the first act
  let told = ''; // what the last frame said
  let crossed = ''; // which marks the slots were beyond in the last frame
  let at = -settle; // ct of the last frame
  let owner = who();
  let beat = 0;
  let later = 0;

  // frame sends a snapshot; without more to say only if it differs from the one before. Held, it waits for hide.
  const frame = (more?: { end?: 1; resume?: 1 } | 'beat', held?: boolean) => {
    clearTimeout(later);
    later = 0;
    const slots = watched.views(seq);
    const vis = visible();
    const state = { vis: +vis, foc: +document.hasFocus(), frz: +frozen };
    const says = JSON.stringify([state, slots], (name, value) => (name == 'mt' ? 0 : value));
    if (over || !(seq || Object.keys(slots)[0]) || (!more && says == told)) return;
    clearTimeout(beat);
    told = says;
    crossed = beyond(slots);
    at = now();
    const f = {
      ...{ v: 1, uid: owner.userId || owner.anonymousId, pv, seq: seq++, ct: at, ...heard(), ...state, act },
      ...{ vw: innerWidth, vh: innerHeight, slots, wt: Date.now(), ...(more != 'beat' && more) },
    };
    const about = JSON.stringify(owner.userId ? { userId: owner.userId } : { anonymousId: owner.anonymousId });
    const letter: Letter = { to: 'frames', json: JSON.stringify(f), who: about.slice(1, -1) };
    box.add(letter, held);
    if (vis && !frozen && Object.values(slots).some((s) => s.in)) beat = after(heartbeat, pulse);
  };
  const pulse = () => {
    frame('beat');
    watched.measure();
  };

  // A scroll moves slots many times a second. What crosses a mark is told at once, since seconds
  // are counted from there; the steps between wait a little and go together.
  const moved = () => {
    if (beyond(watched.views(seq)) != crossed || now() - at >= settle) frame();
    else later = later || after(settle, frame);
  };
  const watched = watch(() => after(0, moved));

  const acted = () => {
    const before = act;
    const t = now();
    if (t - before < 250) return;
    act = t;
    if (t - before > idle) frame({ resume: 1 });
  };
  const hide = () => {
    frame(undefined, true);
    box.hide();
  };
  const end = () => {
    frame({ end: 1 }, true);
    over = true;
    clearTimeout(beat);
    box.hide();
  };
  const begin = () => {
    pv = hex(8);
    seq = 0;
    over = frozen = false;
    told = '';
    owner = who();
    watched.reopen();
    frame();
  };

  on(document, 'visibilitychange', () => (visible() ? frame() : hide()));
  on(window, 'focus blur resize', () => frame());
  on(document, 'freeze', () => {
    frozen = true;
    hide();
  });
  on(document, 'resume', () => {
    frozen = false;
    frame();
  });
  on(window, 'pointerdown pointermove keydown wheel scroll touchstart', acted);
  on(window, 'pagehide', end);
  on(window, 'pageshow', (e) => (e as PageTransitionEvent).persisted && begin());

  return {
    renew() {
      end();
      begin();
    },
  };
}

/** beyond says which marks every slot has reached. */
function beyond(slots: Record<string, View>): string {
  return JSON.stringify(
    Object.entries(slots).map(([name, s]) => [name, s.fill, s.in > 0, marks.map((m) => s.tot > 0 && s.in >= m * s.tot), s.play]),
  );
}
