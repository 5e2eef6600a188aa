import { Component, type ReactNode } from "react";
import { Failure } from "./States";

/** What browsers say when a part of the page is no longer at its address. */
const GONE = /dynamically imported module|importing a module script failed/i;

/** Keeps the fault of one page from taking the frame with it. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error: GONE.test(error.message) ? new Error("The portal was updated meanwhile. Load the page again.") : error };
  }

  override render() {
    const { error } = this.state;
    return error ? <Failure error={error} retry={() => location.reload()} /> : this.props.children;
  }
}
