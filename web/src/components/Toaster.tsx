import { Notifications, notifications } from "@mantine/notifications";
import "@mantine/core/styles/Notification.css";
import "@mantine/notifications/styles.css";
import { useEffect } from "react";
import { type Toast, useToasts } from "./toasts";

const TITLES: Record<Toast["tone"], string> = { good: "Done", warn: "Please note", bad: "That did not work" };
const COLORS: Record<Toast["tone"], string> = { good: "green", warn: "yellow", bad: "red" };
const shown = new Set<number>();

/** Draws the toasts; fetched with the first one. */
export default function Toaster() {
  const toasts = useToasts();
  useEffect(() => {
    for (const { id, message, tone } of toasts.filter((toast) => !shown.has(toast.id))) {
      shown.add(id);
      notifications.show({
        message,
        title: TITLES[tone],
        color: COLORS[tone],
        role: tone === "bad" ? "alert" : "status",
        autoClose: tone === "bad" ? false : 6000,
        closeButtonProps: { "aria-label": "Close" },
      });
    }
  }, [toasts]);
  return <Notifications position="bottom-right" containerWidth={360} />;
}
