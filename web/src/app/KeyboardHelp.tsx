import { Kbd, Modal } from "@mantine/core";

const KEYS: [string[], string][] = [
  [["Ctrl", "K"], "Go to any page (⌘ K on a Mac)"],
  [["/"], "Search on this page"],
  [["?"], "This help"],
  [["Esc"], "Close what is open"],
  [["Tab"], "Next field or button; Shift Tab goes back"],
  [["Enter"], "Open the row, press the button"],
];

/** Which keys do what: `?`. */
export default function KeyboardHelp({ close }: { close: () => void }) {
  return (
    <Modal opened onClose={close} title="Keyboard" closeButtonProps={{ "aria-label": "Close" }}>
      <dl className="key-list">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>{keys.map((key) => <Kbd key={key}>{key}</Kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
