/** The third section while a person takes part: what happens, how far it is, what it costs. */
import type { Plan } from '../../../protocol/plan.ts';
import type { ParticipantEvent } from '../../events.ts';
import { inBytes } from '../../plan-in-words.ts';
import type { Traffic } from '../../traffic.ts';
import { byId, element, show } from './dom.ts';
import { drawLosses } from './loss-chart.ts';

/** An event in words, for the status line; nothing when the line should stay as it is. */
export function wordsFor(event: ParticipantEvent): string | undefined {
  const round = 'round' in event && 'attempt' in event ? `Round ${event.round + 1}` : '';
  switch (event.type) {
    case 'connecting':
      return 'Connecting to the coordinator …';
    case 'joined':
      return 'The coordinator has proved its key. Checking the plan …';
    case 'plan':
      return 'Joined. Waiting for a round to begin …';
    case 'engine':
    case 'refused':
      return undefined;
    case 'waiting':
      return 'Nothing to do for you just now; waiting for a round …';
    case 'offer':
      return `${round}: getting the encoder …`;
    case 'declined':
      return `${round} was declined: ${event.reason}.`;
    case 'downloading':
    case 'charged':
      return undefined;
    case 'training':
      return `${round}: training on your images …`;
    case 'trained':
      return `${round}: sealing your update …`;
    case 'uploading':
      return `${round}: sending your sealed update …`;
    case 'reported':
      return `${round}: your update has arrived. Waiting for the others …`;
    case 'committed':
      return `${round} is complete: ${event.participants} participants, one encoder${event.mine ? ', and you are in it' : ''}.`;
    case 'failed':
      return `${round} came to nothing here (${event.reason}). Waiting for the next …`;
    case 'finished':
      return `The run is complete after ${event.rounds} rounds.`;
    case 'retrying':
      return `The connection was lost; trying again in ${Math.max(1, Math.round(event.waitMs / 1000))} s …`;
    default:
      return event satisfies never;
  }
}

/** Events that a person may want to look up later. */
const NOTED: ReadonlySet<ParticipantEvent['type']> = new Set([
  'plan',
  'declined',
  'reported',
  'committed',
  'failed',
  'finished',
  'retrying',
]);
const MOST_NOTES = 500;

export interface ProgressView {
  take(event: ParticipantEvent, traffic: Readonly<Traffic>): void;
}

const bar = (id: string, value: number, max: number, words: string): void => {
  const progress = byId<HTMLProgressElement>(`${id}-bar`);
  progress.max = Math.max(1, max);
  progress.value = value;
  byId(`${id}-text`).textContent = words;
};

/** What trains on this computer, in plain words, and its name and reason for whoever wants to know more. */
function showEngine({ engine, reason }: { readonly engine: string; readonly reason: string }): void {
  const compiled = engine.startsWith('compiled:');
  const device = engine === 'compiled:webgpu' ? 'on the graphics card' : 'on the processor';
  byId('engine-words').textContent = compiled
    ? `Trains at full speed, ${device}.`
    : 'Trains with the slower engine, since the fast one does not run in this browser.';
  byId('engine').textContent = `${engine}: ${reason}`;
  show(byId('engine-box'), true);
}

/** What this browser's noised reports may tell of it, of what it lets them tell at most. */
function showBudget({ epsilon, budget, delta }: Extract<ParticipantEvent, { type: 'charged' }>): void {
  byId('budget').textContent = `ε ${epsilon.toFixed(2)} of ${budget}`;
  byId('budget').title = `at δ = ${delta}, by the notebook that this browser keeps`;
  show(byId('budget-tile'), true);
}

/** Shows the section and keeps it up to date. */
export function showProgress(plan: Plan): ProgressView {
  const losses: number[] = [];
  let contributions = 0;
  const rounds = (done: number): void => bar('round', done, plan.rounds.count, `${done} of ${plan.rounds.count}`);
  const say = (words: string): void => {
    const status = byId('status');
    // an unchanged line is not read out again
    if (status.textContent !== words) status.textContent = words;
  };
  const note = (words: string): void => {
    const journal = byId('journal');
    journal.append(element('li', `${new Date().toLocaleTimeString()}  ${words}`));
    if (journal.childElementCount > MOST_NOTES) journal.firstElementChild?.remove();
    journal.scrollTop = journal.scrollHeight;
  };
  const showLosses = (): void => {
    show(byId('loss-figure'), losses.length > 0);
    drawLosses(byId<SVGSVGElement>('loss-chart'), losses);
    byId('loss-text').textContent = losses.at(-1)?.toPrecision(4) ?? '';
  };

  say('Getting ready to train …');
  rounds(0);
  bar('step', 0, 1, '');
  showLosses();
  byId('contributions').textContent = '0';
  show(byId('progress'), true);
  show(byId('journal-box'), true);
  return {
    take(event, traffic) {
      byId('bytes-up').textContent = inBytes(traffic.up);
      byId('bytes-down').textContent = inBytes(traffic.down);
      const words = wordsFor(event);
      if (words) say(words);
      if (words && NOTED.has(event.type)) note(words);
      switch (event.type) {
        case 'engine':
          showEngine(event);
          break;
        case 'joined':
          rounds(event.round);
          break;
        case 'offer':
          bar('step', 0, plan.training.steps, `0 of ${plan.training.steps} steps`);
          break;
        case 'training':
          bar('step', event.step, event.steps, `${event.step} of ${event.steps} steps`);
          break;
        case 'trained':
          losses.push(event.loss);
          showLosses();
          break;
        case 'charged':
          showBudget(event);
          break;
        case 'reported':
          contributions += 1;
          byId('contributions').textContent = String(contributions);
          break;
        case 'committed':
          rounds(event.round + 1);
          byId('cohort').textContent = String(event.participants);
          break;
        default:
          break;
      }
    },
  };
}
