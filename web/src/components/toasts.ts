import { notifications } from "@mantine/notifications";
import { messageOf } from "../api/client";

type Tone = "good" | "warn" | "bad";
const TITLES: Record<Tone, string> = { good: "Done", warn: "Please note", bad: "That did not work" };
const COLORS: Record<Tone, string> = { good: "green", warn: "yellow", bad: "red" };

/** A short word in the corner. Screen readers say it; faults stay until they are closed. */
export function tell(message: string, tone: Tone = "good"): void {
  notifications.show({
    message,
    title: TITLES[tone],
    color: COLORS[tone],
    role: tone === "bad" ? "alert" : "status",
    autoClose: tone === "bad" ? false : 6000,
    closeButtonProps: { "aria-label": "Close" },
  });
}

/** Says what went wrong. */
export function tellFailure(error: unknown): void {
  tell(messageOf(error), "bad");
}
