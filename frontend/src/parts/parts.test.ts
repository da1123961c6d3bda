import { render, screen } from '@testing-library/svelte';
import { createRawSnippet } from 'svelte';
import { describe, expect, it } from 'vitest';
import { outcomeMarks } from '../lib/activity';
import { stateWords, type State } from '../lib/format';
import { decisionWords, issuerWords, listenerWord, outcomeWords } from '../lib/launches';
import Button from './Button.svelte';
import FaultNote from './FaultNote.svelte';
import Mark from './Mark.svelte';
import Problems from './Problems.svelte';
import StateMark from './StateMark.svelte';
import Switch from './Switch.svelte';

const text = (words: string) => createRawSnippet(() => ({ render: () => `<span>${words}</span>` }));

describe('StateMark', () => {
  it('gives each state a word and a shape of its own', () => {
    const shapes = new Set<string>();
    for (const state of Object.keys(stateWords) as State[]) {
      const { container, unmount } = render(StateMark, { state });
      expect(container.textContent?.trim()).toBe(stateWords[state]);
      shapes.add(container.querySelector('svg')!.innerHTML);
      unmount();
    }
    expect(shapes.size).toBe(Object.keys(stateWords).length);
  });
});

describe('Problems', () => {
  it('tells an error from a notice in words', () => {
    render(Problems, {
      id: 'p',
      problems: [
        { field: 'client_id', level: 'error', message: 'The client ID is missing.', advice: 'Copy it from the EHR.' },
        { field: 'client_id', level: 'notice', message: 'White space was removed.', advice: '' },
      ],
    });
    const [error, notice] = screen.getAllByRole('listitem').map((item) => item.textContent?.replace(/\s+/g, ' ').trim());
    expect(error).toBe('Error: The client ID is missing. Copy it from the EHR.');
    expect(notice).toBe('Notice: White space was removed.');
  });
});

describe('FaultNote', () => {
  it('is read out, with what happened and what to do', () => {
    render(FaultNote, { fault: { message: 'Port 18350 is taken.', advice: 'Close the other program.' }, title: 'The sign-in could not begin' });
    const alert = screen.getByRole('alert');
    for (const words of ['The sign-in could not begin', 'Port 18350 is taken.', 'Close the other program.']) {
      expect(alert.textContent).toContain(words);
    }
  });
});

describe('Button', () => {
  it('takes no press while it is busy, and keeps the focus', () => {
    let presses = 0;
    render(Button, { busy: true, onclick: () => presses++, children: text('Save') });
    const button = screen.getByRole('button', { name: 'Save' });
    button.focus();
    button.click();
    expect(presses).toBe(0);
    expect(document.activeElement).toBe(button);
    expect(button.getAttribute('aria-disabled')).toBe('true');
  });
});

describe('Mark', () => {
  const off = { settings: { on: false, url: '' }, listening: false };
  const sets = {
    decision: Object.values(decisionWords),
    outcome: Object.values(outcomeWords),
    issuer: Object.values(issuerWords),
    activity: Object.values(outcomeMarks),
    listener: [listenerWord(off), listenerWord({ ...off, listening: true }), listenerWord({ ...off, settings: { on: true, url: '' } })],
  };

  it.each(Object.entries(sets))('gives each %s a shape of its own', (_, words) => {
    const shapes = words.map((word) => {
      const { container, unmount } = render(Mark, word);
      const shape = container.querySelector('svg')!.innerHTML;
      unmount();
      return shape;
    });
    expect(new Set(shapes).size).toBe(words.length);
  });
});

describe('Switch', () => {
  it('asks for the change, and shows what is where it was refused', async () => {
    const asked: boolean[] = [];
    render(Switch, { label: 'Listen', on: false, onchange: async (on: boolean) => asked.push(on) });
    const control = screen.getByRole<HTMLInputElement>('switch', { name: 'Listen' });
    control.click();
    await Promise.resolve();
    await Promise.resolve();
    expect(asked).toEqual([true]);
    expect(control.checked).toBe(false);
  });
});
