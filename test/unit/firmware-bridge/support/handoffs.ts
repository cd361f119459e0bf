/** What a generated handoff varies. */
export interface HandoffOptions {
  readonly vivado?: string;
  readonly format?: string;
  readonly lanes?: number;
  readonly lengthBits?: number;
  readonly scatterGather?: boolean;
  readonly architecture?: 'zynq' | 'zynquplus';
  readonly clockHz?: number;
  readonly counters?: boolean;
  /** Order in which the DMA engines feed the streams of the core. */
  readonly streams?: readonly number[];
  readonly base?: number;
  /** MODTYPE and VLNV of the core's module. */
  readonly core?: { readonly type: string; readonly vlnv?: string };
  /** Parameters of every DMA engine beside those that are always there. */
  readonly dmaParameters?: Readonly<Record<string, string | number>>;
  /** Whether the DMA engines' interrupt outputs are listed, and end somewhere. */
  readonly interrupts?: 'connected' | 'open';
}

/** A .hwh as Vivado writes it for the published core: same elements and attributes, only those that matter. */
export function handoff(options: HandoffOptions = {}): Buffer {
  const {
    vivado = '2024.1',
    format = '1.2',
    lanes = 4,
    lengthBits = 26,
    scatterGather = false,
    architecture = 'zynquplus',
    clockHz = 199_998_001,
    counters = true,
    streams = [1, 2, 3, 4],
    base = 0xa000_0000,
    core = { type: 'BFP_Acc', vlnv: 'xilinx:hls:BFP_Acc:1.0' },
    dmaParameters = {},
    interrupts,
  } = options;
  const zynq = architecture === 'zynq';
  const engines = Array.from({ length: lanes }, (_, i) => i);
  const processor = zynq ? 'processing_system7' : 'zynq_ultra_ps_e';
  const clockPort = zynq ? 'FCLK_CLK0' : 'pl_clk0';
  const clock = (name: string) =>
    `<PORT CLKFREQUENCY="${clockHz}" DIR="I" NAME="${name}" SIGIS="clk"><CONNECTIONS><CONNECTION INSTANCE="ps_0" PORT="${clockPort}"/></CONNECTIONS></PORT>`;
  const parameters = Object.entries(dmaParameters).map(
    ([name, value]) => `<PARAMETER NAME="${name}" VALUE="${value}"/>`,
  );
  const outputs = (interrupts ? ['mm2s_introut', 's2mm_introut'] : []).map((name) => {
    const end = interrupts === 'connected' ? '<CONNECTION INSTANCE="ps_0" PORT="pl_ps_irq0"/>' : '';
    return `<PORT DIR="O" NAME="${name}" SIGIS="INTERRUPT"><CONNECTIONS>${end}</CONNECTIONS></PORT>`;
  });
  const dma = engines.map(
    (i) => `<MODULE INSTANCE="axi_dma_${i}" MODTYPE="axi_dma" VLNV="xilinx.com:ip:axi_dma:7.1">
      <PARAMETERS>
        <PARAMETER NAME="C_SG_LENGTH_WIDTH" VALUE="${lengthBits}"/>
        <PARAMETER NAME="c_include_mm2s" VALUE="1"/>
        <PARAMETER NAME="c_include_s2mm" VALUE="1"/>
        <PARAMETER NAME="c_include_sg" VALUE="${scatterGather ? 1 : 0}"/>
        <PARAMETER NAME="c_m_axis_mm2s_tdata_width" VALUE="32"/>
        <PARAMETER NAME="c_sg_length_width" VALUE="${lengthBits}"/>
        ${parameters.join('')}
      </PARAMETERS>
      <PORTS>
        ${clock('s_axi_lite_aclk')}
        ${outputs.join('')}
        <PORT DIR="O" NAME="m_axis_mm2s_tdata" SIGIS="undef"><CONNECTIONS><CONNECTION INSTANCE="BFP_Acc" PORT="S_AXIS_DATA${streams[i]}_TDATA"/></CONNECTIONS></PORT>
      </PORTS>
    </MODULE>`,
  );
  const range = (instance: string, name: string, at: number) =>
    `<MEMRANGE ADDRESSBLOCK="Reg" BASEVALUE="0x${at.toString(16).toUpperCase()}" HIGHVALUE="0x${(at + 0xffff).toString(16).toUpperCase()}" INSTANCE="${instance}" MEMTYPE="REGISTER" SLAVEBUSINTERFACE="${name}"/>`;
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<EDKSYSTEM EDWVERSION="${format}" TIMESTAMP="Mon May 06 01:02:44 2024" VIVADOVERSION="${vivado}">
  <SYSTEMINFO ARCH="${architecture}" DEVICE="${zynq ? '7z020' : 'xck26'}" NAME="design_1" PACKAGE="${zynq ? 'clg400' : 'sfvc784'}" SPEEDGRADE="-1"/>
  <EXTERNALPORTS/>
  <MODULES>
    <MODULE INSTANCE="BFP_Acc" MODTYPE="${core.type}"${core.vlnv === undefined ? '' : ` VLNV="${core.vlnv}"`}>
      <PARAMETERS><PARAMETER NAME="DESCRIPTION" VALUE="&lt;Select>&#xA;"/></PARAMETERS>
      <PORTS>${clock('aclk')}</PORTS>
    </MODULE>
    ${dma.join('\n')}
    <MODULE INSTANCE="ps_0" MODTYPE="${processor}">
      <PARAMETERS/>
      <PORTS/>
      <MEMORYMAP>
        ${range('BFP_Acc', 'S_AXI_CTRL', base)}
        ${engines.map((i) => range(`axi_dma_${i}`, 'S_AXI_LITE', base + 0x1_0000 * (i + 1))).join('\n')}
        ${counters ? range('BFP_Acc', 'S_AXI_HWC', base + 0x5_0000) : ''}
      </MEMORYMAP>
    </MODULE>
  </MODULES>
</EDKSYSTEM>
`);
}
