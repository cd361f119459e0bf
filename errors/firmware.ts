import type { ErrorEntry } from './entry.js';

/** Errors of firmware-bridge/: numbers 8100 to 8999. */
export const FIRMWARE_ERRORS = {
  FIRMWARE_BITSTREAM_INVALID: {
    number: 8101,
    meaning: 'A file is not a bitstream, or it is damaged.',
    remedy: "Give the .bit that Vivado's write_bitstream wrote, or a .bin made from it.",
  },
  FIRMWARE_WRONG_PART: {
    number: 8102,
    meaning: 'A bitstream was built for another FPGA than the one on the board. Nothing was written.',
    remedy: "Build the design for the board's part, or name the right board.",
  },
  FIRMWARE_PART_UNKNOWN: {
    number: 8103,
    meaning: 'It cannot be told whether a bitstream fits the board. Nothing was written.',
    remedy: 'Use the .bit, whose header names its part, and a board description with [fpga] part.',
  },
  FIRMWARE_WRONG_BOARD: {
    number: 8104,
    meaning: 'A published bitstream was given with the description of another design. Nothing was written.',
    remedy: 'Name the description that the error names with --board.',
  },
  FIRMWARE_BITSTREAM_PARTIAL: {
    number: 8105,
    meaning:
      'A bitstream is partial: it needs a running design around it, and cannot program an FPGA as a whole. Nothing was written.',
    remedy:
      'Give the bitstream of the whole design: the file of the same build without _partial in its name.',
  },
  FIRMWARE_HANDOFF_INVALID: {
    number: 8110,
    meaning: 'A .hwh file is not a hardware handoff of Vivado, or it is damaged.',
    remedy: 'Export it again: it lies beside the block design, under hw_handoff.',
  },
  FIRMWARE_HANDOFF_VERSION: {
    number: 8111,
    meaning: 'A .hwh file has a format that is not known to mean the same, or no version of Vivado.',
    remedy:
      "Write the board description by hand from Vivado's address editor; the files in boards/ are examples.",
  },
  FIRMWARE_HANDOFF_UNSUPPORTED: {
    number: 8112,
    meaning: 'A .hwh file describes a design that the driver cannot use.',
    remedy: 'Change the block design as the message says and build it again.',
  },
  FIRMWARE_NO_FPGA_MANAGER: {
    number: 8120,
    meaning: 'The kernel offers no way to program the FPGA.',
    remedy:
      "Use a kernel with Xilinx's FPGA manager (PYNQ's and Kria's images have it), or have the boot loader program the FPGA.",
  },
  FIRMWARE_PROGRAMMING_FAILED: {
    number: 8121,
    meaning: 'The FPGA was not programmed.',
    remedy: 'See `dmesg` on the board; programming needs root.',
  },
  FIRMWARE_FILE_FAILED: {
    number: 8122,
    meaning: 'A file of the system that makes the board ready cannot be read or written.',
    remedy: 'Run it as root, and check that the file system is writable and has room.',
  },
  FIRMWARE_CLOCK: {
    number: 8130,
    meaning: 'A fabric clock cannot be set to the frequency that the design needs.',
    remedy: 'Check clock_hz and [fpga] of the board description.',
  },
  FIRMWARE_OVERLAY: {
    number: 8140,
    meaning: 'A device-tree overlay was not applied.',
    remedy:
      'See `dmesg` on the board; the kernel needs CONFIG_OF_CONFIGFS and a device tree built with symbols.',
  },
  FIRMWARE_NO_SERIAL_PORT: {
    number: 8150,
    meaning: "No serial port, or more than one, looks like a board's.",
    remedy: "Connect the board's USB port marked PROG/UART and switch it on, or name the port with --port.",
  },
  FIRMWARE_SERIAL_FAILED: {
    number: 8151,
    meaning: 'A serial port cannot be opened, or broke while it was in use.',
    remedy:
      'Check the cable, that no other program has the port open, and that you may use it (on Linux: be in the group that owns it, often dialout).',
  },
  FIRMWARE_WRONG_BAUD: {
    number: 8152,
    meaning: 'What the serial port receives is not text: the bit rate is wrong, or the line is disturbed.',
    remedy:
      'PYNQ and Kria boards use 115200 baud; check that the port is the UART and not the JTAG port beside it.',
  },
  FIRMWARE_NO_ANSWER: {
    number: 8160,
    meaning: 'The board did not answer on its serial console in time.',
    remedy: 'Check the power, the boot jumper and the SD card; `pynq-llm console` shows what the board says.',
  },
  FIRMWARE_BOOT_FAILED: {
    number: 8161,
    meaning: 'The board does not boot.',
    remedy: 'Write the SD card again; `pynq-llm console --log FILE` keeps the whole boot log.',
  },
  FIRMWARE_LOGIN_REFUSED: {
    number: 8162,
    meaning: 'The board refused the login on its serial console.',
    remedy:
      "Check --user and the password: PYNQ's images have xilinx / xilinx, Kria's Ubuntu ubuntu / ubuntu.",
  },
  FIRMWARE_COMMAND_FAILED: {
    number: 8163,
    meaning: 'A command that makes the board ready failed on it.',
    remedy: 'Log in with `pynq-llm console` and look there.',
  },
  FIRMWARE_CONSOLE_UNKNOWN: {
    number: 8165,
    meaning: 'The board shows something on its serial console that is neither a login nor a shell.',
    remedy:
      'Look with `pynq-llm console` and leave it at a login or a shell, or run this on a terminal, where you are asked what it waits for.',
  },
  FIRMWARE_BAD_REQUEST: {
    number: 8164,
    meaning: 'What the board should be given is not valid: a key, an address or a name.',
    remedy: 'Correct it and run the command again.',
  },
} as const satisfies Record<string, ErrorEntry>;
